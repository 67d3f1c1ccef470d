// SPDX-License-Identifier: GPL-3.0-or-later
#include "config/presets.h"

#include <algorithm>
#include <utility>

namespace bitwright {

namespace {

using Keep = LayerPolicy::Keep;

// First and last layer and shortcuts as in methods.md A4. Papers that it does not list: APoT's released code for CIFAR has
// 8 bits at both ends, WRPN's re-implementation (IntelLabs/distiller) leaves them in float. From memory: BinaryConnect, BNN,
// LAB and INQ quantize every layer, Balanced Quantization and QIL leave both ends in float.
constexpr LayerPolicy kAll{};
constexpr LayerPolicy kFloatEnds{.firstLast = Keep::Float, .shortcuts = Keep::Same};
constexpr LayerPolicy kFloatEndsAndShortcuts{.firstLast = Keep::Float, .shortcuts = Keep::Float};
constexpr LayerPolicy kEightBitEnds{.firstLast = Keep::EightBit, .shortcuts = Keep::Same};

QuantPatch patch(const char *method, int bits, ParamValues options = {})
{
    return {.method = method, .bits = bits, .options = std::move(options), .values = {}};
}

ParamValue text(const char *value)
{
    return std::string(value);
}

std::vector<Preset> binary()
{
    const char *bc = "Courbariaux, Bengio, David, NIPS 2015", *bnn = "Hubara and others, NIPS 2016";
    const char *xnor = "Rastegari and others, ECCV 2016", *abc = "Lin, Zhao, Pan, NIPS 2017";
    const char *straight = "Adam with a rate that falls over the whole run; float weights are held in -1 to 1.";
    return {
        {"binaryconnect-1-32", "BinaryConnect, binary weights", bc, patch("binaryconnect", 1, {{"stochastic", false}}), {}, kAll, straight},
        {"bnn-1-1", "BNN, binary weights and inputs", bnn, patch("bnn", 1), patch("bnn", 1), kEightBitEnds,
         std::string(straight) + " The paper keeps the image at 8 bits but binarizes the first layer's weights too."},
        {"bwn-1-32", "BWN, binary weights with a scale a filter", xnor, patch("bwn", 1), {}, kFloatEnds,
         "SGD from the float weights with a rate that falls in steps and little weight decay, none at the end."},
        {"xnor-1-1", "XNOR-Net, binary weights and inputs", xnor, patch("xnor", 1), patch("xnor", 1), kFloatEnds,
         "Adam, large batches, no weight decay at the end; its blocks have batch norm before the sign."},
        {"bireal-1-1", "Bi-Real Net, binary with the ApproxSign gradient", "Liu and others, ECCV 2018", patch("bireal", 1),
         patch("bireal", 1), kFloatEndsAndShortcuts,
         "From a float network with clipped activations, rate 0.01 in two drops, no weight decay; made for a skip around every convolution."},
        {"abc-3-3", "ABC-Net, three bases each", abc, patch("abc", 3), patch("abc", 3), kFloatEnds,
         "SGD from the float weights; shifts and scales of the inputs are learned."},
        {"abc-5-5", "ABC-Net, five bases each", abc, patch("abc", 5), patch("abc", 5), kFloatEnds,
         "SGD from the float weights; shifts and scales of the inputs are learned."},
        {"horq-1-2", "HORQ, binary weights, inputs of order 2", "Li and others, ICCV 2017", patch("bwn", 1), patch("horq", 2),
         kFloatEnds, "As XNOR-Net, with the residual of the inputs as a second binary term."},
    };
}

std::vector<Preset> ternaryAndPowers()
{
    const char *inq = "Zhou and others, ICLR 2017", *apot = "Li, Dong, Wang, ICLR 2020";
    const char *incremental = "Incremental: the largest weights are quantized and held, the rest retrained, in four portions; here all at once.";
    const char *apotTraining = "SGD with a falling rate, weights normalised before they are quantized, the clip learned with a decay of its own.";
    return {
        {"twn-2-32", "TWN, ternary weights", "Li, Zhang, Liu, 2016", patch("twn", 2), {}, kFloatEnds,
         "SGD with momentum, rate 0.1 in two or three drops, weight decay 1e-4."},
        {"ttq-2-32", "TTQ, ternary weights with two learned scales", "Zhu and others, ICLR 2017", patch("ttq", 2), {}, kFloatEnds,
         "From the float weights, SGD with momentum in drops; both scales are learned."},
        {"inq-5-32", "INQ, powers of two, 5 bits", inq, patch("inq", 5), {}, kAll, incremental},
        {"inq-3-32", "INQ, powers of two, 3 bits", inq, patch("inq", 3), {}, kAll, incremental},
        {"apot-4-4", "APoT, sums of powers of two, 4 bits", apot, patch("apot", 4), patch("apot", 4), kEightBitEnds, apotTraining},
        {"apot-2-2", "APoT, sums of powers of two, 2 bits", apot, patch("apot", 2), patch("apot", 2), kEightBitEnds, apotTraining},
    };
}

std::vector<Preset> byDistribution()
{
    const char *dorefa = "Zhou and others, 2016", *wrpn = "Mishra and others, ICLR 2018", *qil = "Jung and others, CVPR 2019";
    const char *wide = "From the float weights; the paper widens the layers, which makes up for the bits.";
    const char *wideTwo = "From scratch and with wider layers: the small weights of a network trained in float all round to 0 at 2 bits.";
    const char *progressiveTwo = "Progressive: 32, 5, 4, 3, 2 bits, each from the one before; straight from float nearly all weights start as 0.";
    const char *progressive = "Progressive: 32, 5, 4, 3, 2 bits, each from the one before; interval and curve are learned.";
    const char *doTraining = "Adam with rate 2e-4 in two drops; batch norm follows each layer.";
    return {
        {"hwgq-1-2", "HWGQ, binary weights, 2-bit half-wave inputs", "Cai and others, CVPR 2017", patch("bwn", 1), patch("hwgq", 2),
         kFloatEnds, "SGD with momentum and a rate that falls to 0; needs batch norm before each quantized input."},
        {"dorefa-1-2", "DoReFa-Net, weights 1 bit, inputs 2", dorefa, patch("dorefa", 1), patch("dorefa", 2), kFloatEnds, doTraining},
        {"dorefa-1-2-6", "DoReFa-Net, weights 1 bit, inputs 2, gradients 6", dorefa, patch("dorefa", 1),
         patch("dorefa", 2, {{"gradient_bits", std::int64_t(6)}}), kFloatEnds, doTraining},
        {"dorefa-4-4", "DoReFa-Net, 4 bits", dorefa, patch("dorefa", 4), patch("dorefa", 4), kFloatEnds, doTraining},
        {"wrpn-4-4", "WRPN, 4 bits", wrpn, patch("wrpn", 4), patch("wrpn", 4), kFloatEnds, wide},
        {"wrpn-2-2", "WRPN, 2 bits", wrpn, patch("wrpn", 2), patch("wrpn", 2), kFloatEnds, wideTwo},
        {"balanced-4-4", "Balanced Quantization, 4 bits", "Zhou and others, JCST 2017", patch("balanced", 4), patch("dorefa", 4),
         kFloatEnds, "As DoReFa-Net; the codes of the weights are filled equally."},
        {"pact-4-4", "PACT, learned clip, 4 bits", "Choi and others, 2018", patch("dorefa", 4), patch("pact", 4), kFloatEnds,
         "SGD, rate 0.1 in drops; the clip decays with the network's weight decay."},
        {"pact-sawb-2-2", "PACT-SAWB, 2 bits, float shortcuts", "Choi and others, SysML 2019", patch("sawb", 2), patch("pact", 2),
         kFloatEndsAndShortcuts, "As PACT; shortcuts in float win back most of what 2 bits cost."},
        {"qil-4-4", "QIL, learned interval, 4 bits", qil, patch("qil", 4), patch("qil", 4), kFloatEnds, progressive},
        {"qil-2-2", "QIL, learned interval, 2 bits", qil, patch("qil", 2), patch("qil", 2), kFloatEnds, progressiveTwo},
        {"lsq-4-4", "LSQ, learned step, 4 bits", "Esser and others, ICLR 2020", patch("uniform", 4, {{"learned_step", true}}),
         patch("uniform", 4, {{"learned_step", true}}), kEightBitEnds, "From the float weights, SGD with rate 0.01 and a cosine, weight decay 1e-4."},
    };
}

std::vector<Preset> codebooksAndLoss()
{
    const char *lq = "Zhang and others, ECCV 2018", *qn = "Yang and others, CVPR 2019", *laq = "Hou and Kwok, ICLR 2018";
    const char *lqTraining = "SGD, rate 0.1 (VGG 0.02) in drops; the bases follow by a moving average and have no gradient.";
    const char *qnTraining = "From the float weights: weights first, then inputs, then both; the temperature grows with the epochs, gradients are clipped at 5.";
    const char *laqTraining = "Adam with rate 2e-3, halved every 15 epochs; its second moment weighs the projection.";
    return {
        {"kmeans-5-32", "Deep Compression, 32 shared weights", "Han, Mao, Dally, ICLR 2016", patch("kmeans", 5, {{"init", text("linear")}}), {},
         kAll, "Prune first and retrain under the masks; then only the shared weights are trained, at a small rate."},
        {"lloyd-3-32", "Lloyd-Max, 8 best levels", "Lloyd, 1957; Max, 1960", patch("lloyd", 3), {}, kAll,
         "None is needed: the levels have the least squared error that so many can have."},
        {"lqnets-2-32", "LQ-Nets, 2-bit weights", lq, patch("lqnets", 2), {}, kFloatEnds, lqTraining},
        {"lqnets-2-2", "LQ-Nets, 2 bits", lq, patch("lqnets", 2), patch("lqnets", 2), kFloatEnds, lqTraining},
        {"quantnet-2-32", "Quantization Networks, ternary weights", qn, patch("quantnet", 2), {}, kFloatEnds, qnTraining},
        {"quantnet-2-2", "Quantization Networks, ternary weights, 2-bit inputs", qn, patch("quantnet", 2), patch("quantnet", 2), kFloatEnds,
         qnTraining},
        {"lab-1-32", "LAB, loss-aware binary weights", "Hou, Yao, Kwok, ICLR 2017", patch("laq", 1, {{"variant", text("lab")}}), {}, kAll,
         laqTraining},
        {"lat-2-32", "LAT, loss-aware ternary weights", laq, patch("laq", 2, {{"variant", text("late")}}), {}, kAll, laqTraining},
        {"laq-3-32", "LAQ, loss-aware weights, 3 bits", laq, patch("laq", 3, {{"variant", text("linear")}}), {}, kAll, laqTraining},
    };
}

} // namespace

const std::vector<Preset> &presets()
{
    static const std::vector<Preset> all = [] {
        std::vector<Preset> list;
        for (auto part : {binary(), ternaryAndPowers(), byDistribution(), codebooksAndLoss()})
            std::ranges::move(part, std::back_inserter(list));
        return list;
    }();
    return all;
}

const Preset *findPreset(const std::string &id)
{
    const auto found = std::ranges::find(presets(), id, &Preset::id);
    return found == presets().end() ? nullptr : &*found;
}

ModelConfig withPreset(ModelConfig config, const Preset &preset)
{
    config.defaults.weight = preset.weight;
    config.defaults.activation = preset.activation;
    config.policy = preset.policy;
    for (auto &[name, patch] : config.layers)
        patch.weight = patch.activation = {};
    std::erase_if(config.layers, [](const auto &entry) { return entry.second.empty(); });
    return config;
}

} // namespace bitwright
