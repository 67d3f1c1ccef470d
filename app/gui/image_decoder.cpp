// SPDX-License-Identifier: GPL-3.0-or-later
#include "image_decoder.h"

#include <QImageReader>

#include <algorithm>

namespace bitwright {

Result<DecodedImage> decodeImage(const std::string &path)
{
    QImageReader reader(QString::fromStdString(path));
    reader.setAutoTransform(true);
    QImage image = reader.read();
    if (image.isNull())
        return fail(ErrorKind::Parse, path + ", the picture cannot be read: " + reader.errorString().toStdString() +
                                          "; take it out of the folder or convert it to PNG or JPEG");
    const bool grey = image.format() == QImage::Format_Grayscale8 || image.format() == QImage::Format_Grayscale16 ||
                      image.format() == QImage::Format_Mono || image.allGray();
    image = std::move(image).convertToFormat(grey ? QImage::Format_Grayscale8 : QImage::Format_RGB888);
    DecodedImage decoded{image.height(), image.width(), grey ? 1 : 3, {}};
    const auto row = std::size_t(decoded.width * decoded.channels);
    decoded.bytes.resize(row * std::size_t(decoded.height));
    for (int y = 0; y < image.height(); ++y)   // Qt pads rows to four bytes
        std::copy_n(image.constScanLine(y), row, decoded.bytes.data() + std::size_t(y) * row);
    return decoded;
}

} // namespace bitwright
