// SPDX-License-Identifier: GPL-3.0-or-later
#include "plots/mask_picture.h"
#include "plots/plot_colors.h"

#include <QSignalSpy>
#include <QWheelEvent>
#include <QtTest>

using namespace bitwright;

class TstMaskPicture : public QObject {
    Q_OBJECT
private slots:
    void initTestCase() { QTest::failOnWarning(QRegularExpression(QStringLiteral("^(?!This plugin).*"))); }
    void narrowMatricesStandInStrips();
    void placesAndIndices();
    void prunedIsAnotherColourAndHatched();
    void manyElementsShareAPixel();
    void coloursDiffer_data();
    void coloursDiffer();
    void wheelZoomsAboutThePointer();
    void tableCountsChannels();
};

namespace {

QPalette light()
{
    QPalette palette;
    palette.setColor(QPalette::Base, Qt::white);
    palette.setColor(QPalette::Text, Qt::black);
    return palette;
}

QPalette dark()
{
    QPalette palette;
    palette.setColor(QPalette::Base, QColor(0x17, 0x1a, 0x1f));
    palette.setColor(QPalette::Text, QColor(0xe3, 0xe6, 0xea));
    return palette;
}

} // namespace

void TstMaskPicture::narrowMatricesStandInStrips()
{
    // 64 depthwise kernels of 3 by 3, one above the other: 3 wide, 192 high.
    const MaskScene depthwise(weightLayout({64, 1, 3, 3}, 0), 1.0);
    QVERIFY(depthwise.strips() > 2);
    QVERIFY(depthwise.size().height() < 100);
    std::int64_t rows = 0;
    for (int strip = 0; strip < depthwise.strips(); ++strip)
        rows += depthwise.rowsIn(strip);
    QCOMPARE(rows, std::int64_t(64));
    const MaskScene square(weightLayout({16, 16, 3, 3}, 0), 1.3);
    QCOMPARE(square.strips(), 1);
    QCOMPARE(square.size(), QSizeF(48, 48));
}

void TstMaskPicture::placesAndIndices()
{
    const MaskScene scene(weightLayout({4, 2, 3, 3}, 0), 0.5);
    QCOMPARE(scene.strips(), 1);
    const auto place = scene.placeAt({4.5, 10.2});   // second input, second kernel column; fourth output, second kernel row
    QVERIFY(place.has_value());
    QCOMPARE(*place, (MaskScene::Place{3, 1, 1, 1}));
    QCOMPARE(scene.indexOf(*place), std::int64_t((3 * 2 + 1) * 9 + 4));
    QCOMPARE(scene.cellRect(*place), QRectF(4, 10, 1, 1));
    QVERIFY(!scene.placeAt({6.5, 1}).has_value());
    QVERIFY(!scene.placeAt({1, 12.5}).has_value());
    QVERIFY(!scene.placeAt({-0.1, 1}).has_value());
    QCOMPARE(scene.nearestIn(0, {99, -5}), (MaskScene::Place{0, 1, 0, 2}));
}

void TstMaskPicture::prunedIsAnotherColourAndHatched()
{
    MaskRaster raster;
    const MaskScene scene(weightLayout({1, 2}, 0), 2);
    const MaskColours colours = maskColours(MaskColouring::Magnitude, light());
    raster.setStrength({255, 255}, false);
    raster.setView(scene, {20, 10}, {0, 0}, {10, 10});
    const std::vector<std::uint8_t> kept{1, 0};
    const QImage image = raster.draw(kept, colours, 0xff123456);
    int hatch = 0;
    for (int y = 0; y < 10; ++y) {
        for (int x = 0; x < 20; ++x) {
            if (x < 10)
                QCOMPARE(image.pixel(x, y), colours.table[255]);
            else
                QVERIFY(image.pixel(x, y) == colours.pruned || image.pixel(x, y) == colours.hatch);
            hatch += image.pixel(x, y) == colours.hatch;
        }
    }
    QCOMPARE(hatch, 25);   // every fourth pixel of 100
}

void TstMaskPicture::manyElementsShareAPixel()
{
    MaskRaster raster;
    const MaskScene scene(weightLayout({4, 4}, 0), 1);
    MaskColours colours;
    colours.table.fill(0xff000000);
    colours.table[128] = 0xffffffff;
    colours.pruned = 0xff000000;
    raster.setStrength(std::vector<std::uint8_t>(16, 128), false);
    raster.setView(scene, {1, 1}, {0, 0}, {0.25, 0.25});
    std::vector<std::uint8_t> kept(16, 1);
    QCOMPARE(qRed(raster.draw(kept, colours, 0).pixel(0, 0)), 255);
    std::fill_n(kept.begin(), 8, 0);
    QVERIFY(std::abs(qRed(raster.draw(kept, colours, 0).pixel(0, 0)) - 127) <= 1);   // half of them
    std::ranges::fill(kept, 0);
    QCOMPARE(qRed(raster.draw(kept, colours, 0).pixel(0, 0)), 0);
}

void TstMaskPicture::coloursDiffer_data()
{
    QTest::addColumn<QPalette>("palette");
    QTest::addColumn<int>("colouring");
    for (const MaskColouring colouring : {MaskColouring::Magnitude, MaskColouring::Importance, MaskColouring::Sign}) {
        QTest::addRow("light %d", int(colouring)) << light() << int(colouring);
        QTest::addRow("dark %d", int(colouring)) << dark() << int(colouring);
    }
}

void TstMaskPicture::coloursDiffer()
{
    QFETCH(QPalette, palette);
    QFETCH(int, colouring);
    const MaskColours colours = maskColours(MaskColouring(colouring), palette);
    // The weakest element is still told from a pruned one by lightness alone, the strongest clearly.
    const auto weakest = MaskColouring(colouring) == MaskColouring::Sign ? 127U : 0U;
    QVERIFY(contrastRatio(QColor(colours.table[weakest]), QColor(colours.pruned)) > 1.3);
    QVERIFY(contrastRatio(QColor(colours.table[255]), QColor(colours.pruned)) > 4.5);
    QVERIFY(contrastRatio(QColor(colours.hatch), QColor(colours.pruned)) > 1.3);
}

void TstMaskPicture::wheelZoomsAboutThePointer()
{
    MaskPicture picture;
    picture.resize(400, 400);
    picture.show();
    const WeightLayout layout = weightLayout({32, 32}, 0);
    picture.setWeight(std::make_shared<const std::vector<float>>(1024, 0.5F), nullptr, layout);
    const MaskScene::Place place{10, 20, 0, 0};
    const QPointF before = picture.pixelRect(place).center();
    QWheelEvent wheel(before, picture.mapToGlobal(before), {}, {0, 120}, Qt::NoButton, Qt::NoModifier, Qt::NoScrollPhase, false);
    QApplication::sendEvent(&picture, &wheel);
    QVERIFY(picture.zoom() > 1.2);
    QVERIFY((picture.pixelRect(place).center() - before).manhattanLength() < 1);
    picture.resetView();
    QCOMPARE(picture.zoom(), 1.0);
    QVERIFY((picture.pixelRect(place).center() - before).manhattanLength() < 1e-6);
}

void TstMaskPicture::tableCountsChannels()
{
    MaskPicture picture;
    picture.setWeight(std::make_shared<const std::vector<float>>(std::vector<float>{1, -2, 3, 4}), nullptr, weightLayout({2, 2}, 0));
    picture.setKept({1, 0, 0, 0}, {1, 0});
    const PlotTable table = picture.table();
    QCOMPARE(table.rows.size(), std::size_t(2));
    QCOMPARE(table.rows[0][2].toInt(), 1);
    QCOMPARE(table.rows[1][2].toInt(), 0);
    QCOMPARE(table.rows[0][3].toDouble(), 3.0);
    QVERIFY(picture.accessibleDescription().contains(QStringLiteral("1 of 4 weights kept")));
    picture.showMessage(QStringLiteral("nothing here"));
    QCOMPARE(picture.accessibleDescription(), QStringLiteral("nothing here"));
    QVERIFY(picture.table().empty());
}

QTEST_MAIN(TstMaskPicture)
#include "tst_mask_picture.moc"
