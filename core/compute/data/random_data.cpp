// SPDX-License-Identifier: GPL-3.0-or-later
#include "data/random_data.h"

#include "base/names.h"
#include "data/fit_shape.h"
#include "data/input_column.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

namespace bitwright {

namespace {

constexpr std::int64_t kMostElements = std::int64_t(1) << 30;   // 4 GB of floats
constexpr std::int64_t kLargestSize = std::int64_t(1) << 31;

/// What the spec says of one input.
struct Wish {
    std::string form;                   ///< shape or value; empty: not given
    std::optional<double> low, high;
};

std::unexpected<Error> bad(const std::string &why)
{
    return fail(ErrorKind::Invalid, "random data, " + why);
}

template <typename Number>
bool parse(const std::string &text, Number &number)
{
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
}

/// The input that a name of the spec means; "in0", "in1"… go by place, as in an .npz.
std::optional<std::size_t> inputNamed(const std::vector<InputNeed> &needs, const std::string &name)
{
    for (std::size_t i = 0; i < needs.size(); ++i)
        if (needs[i].info.name == name)
            return i;
    for (std::size_t i = 0; i < needs.size(); ++i)
        if ("in" + std::to_string(i) == name)
            return i;
    return std::nullopt;
}

Result<std::vector<Wish>> wishesOf(const DataSpec &spec, const std::vector<InputNeed> &needs)
{
    std::vector<Wish> wishes(needs.size());
    for (const auto &[name, value] : spec.wishes) {
        std::string input = name, part;
        if (!inputNamed(needs, input) && (name.ends_with(".low") || name.ends_with(".high"))) {
            input.resize(name.rfind('.'));
            part = name.substr(input.size() + 1);
        }
        const auto index = inputNamed(needs, input);
        if (!index) {
            std::vector<std::string> known{"count", "seed", "low", "high", "mean", "std", "limit", "first"};
            std::vector<std::string> inputs;
            for (const InputNeed &need : needs)
                inputs.push_back(need.info.name);
            known.insert(known.end(), inputs.begin(), inputs.end());
            const std::string near = closestName(name, known);
            return bad("'" + name + "' is neither an option (count, seed, low, high) nor an input of the network (" + joinNames(inputs) + ")" +
                       (near.empty() ? std::string() : "; did you mean '" + near + "'?"));
        }
        Wish &wish = wishes[*index];
        if (value.empty())
            return bad("'" + name + "=' says nothing; write a value behind it or leave it out");
        if (part.empty()) {
            if (!wish.form.empty())
                return bad("input '" + needs[*index].info.name + "' is given twice; give it once");
            wish.form = value;
            continue;
        }
        double number = 0;
        if (!parse(value, number) || !std::isfinite(number))
            return bad("'" + name + "=" + value + "' is no number; write one");
        (part == "low" ? wish.low : wish.high) = number;
    }
    return wishes;
}

/// "1x3x224x224" with "?" for the batch; the batch may also be left out.
Result<Shape> shapeOf(const std::string &text, const InputNeed &need)
{
    const std::string what = "input '" + need.info.name + "', shape " + text;
    Shape shape;
    for (std::size_t begin = 0; begin <= text.size();) {
        const auto end = std::min(text.find('x', begin), text.size());
        const std::string piece = text.substr(begin, end - begin);
        std::int64_t size = -1;
        if (piece != "?" && (!parse(piece, size) || size < 1 || size > kLargestSize))
            return bad(what + " is no shape; write sizes with x between, like 1x3x224x224");
        shape.push_back(size);
        begin = end + 1;
    }
    const auto axis = std::size_t(std::max(0, need.batchAxis));
    if (!need.rankKnown) {
        if (shape[0] != -1 && shape[0] != 1)
            shape.insert(shape.begin(), 1);   // one sample without the batch
        shape[0] = 1;
    } else if (need.batchAxis >= 0 && shape.size() + 1 == need.info.shape.size()) {
        shape.insert(shape.begin() + std::ptrdiff_t(axis), 1);
    }
    const Shape wanted = need.rankKnown ? need.info.acceptedShape() : Shape(shape.size(), -1);
    if (shape.size() != wanted.size())
        return bad(what + " has " + std::to_string(shape.size()) + " sizes, the network reads " + needText(need) + "; give a size for each");
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const bool batch = need.batchAxis >= 0 && i == axis;
        if (batch && shape[i] != -1 && shape[i] != 1)
            return bad(what + " has a batch of " + std::to_string(shape[i]) + "; write one sample, 1 in its place, and say how many with count=");
        if (batch)
            shape[i] = 1;
        else if (shape[i] < 0)
            return bad(what + " leaves a size open that only you can know; write a number");
        else if (wanted[i] >= 0 && wanted[i] != shape[i])
            return bad(what + " does not fit, the network reads " + needText(need) + "; change the sizes");
    }
    return shape;
}

std::string exampleShape(const Shape &shape)
{
    std::string text;
    for (const std::int64_t size : shape)
        text += (text.empty() ? "" : "x") + std::to_string(size);
    return text;
}

/// What makes one input.
struct Recipe {
    InputColumn column;
    Shape shape;                        ///< one sample without the batch
    double low = 0, high = 0;           ///< high > low: evenly between them
    std::optional<double> value;        ///< a number that was given
};

class Maker {
public:
    Maker(const DataSpec &spec, const DataContext &context) : m_spec(spec), m_context(context) {}
    Result<Dataset> make();

private:
    Status plan(std::size_t index, const Wish &wish);
    Status planNumber(Recipe &recipe, std::size_t index, const Wish &wish);
    Status planRange(Recipe &recipe, std::size_t index, const Wish &wish);
    void ask(const std::string &what, const std::string &example);
    at::Tensor sample(const Recipe &recipe, std::size_t input, std::int64_t number) const;
    at::Tensor fill(const Recipe &recipe, std::size_t input, std::int64_t first, std::int64_t count) const;

    const DataSpec &m_spec;
    const DataContext &m_context;
    std::vector<Recipe> m_recipes;
    std::vector<std::string> m_asked;   ///< what is not known
    std::string m_example;              ///< how to say it
    bool m_rangeIsRead = false;         ///< some input takes the range that the spec gives for all
};

void Maker::ask(const std::string &what, const std::string &example)
{
    if (!what.empty())
        m_asked.push_back(what);
    m_example += "," + example;
}

Status Maker::planNumber(Recipe &recipe, std::size_t index, const Wish &wish)
{
    const InputNeed &need = m_context.needs[index];
    if (wish.form.empty())
        return planRange(recipe, index, wish);
    double value = 0;
    if (wish.form == "true" || wish.form == "false")
        value = wish.form == "true" ? 1 : 0;
    else if (!parse(wish.form, value) || !std::isfinite(value) || (need.isWhole() && value != std::floor(value)))
        return bad("input '" + need.info.name + "' is one number (" + need.info.dtype + "), not " + wish.form + "; write its value");
    recipe.value = value;
    return {};
}

Status Maker::planRange(Recipe &recipe, std::size_t index, const Wish &wish)
{
    const InputNeed &need = m_context.needs[index];
    const std::string name = dataNameOf(need.info.name, index);
    if (need.isFlag())
        return {};
    const bool known = need.high > 0 && !need.rangeGuessed;
    m_rangeIsRead = m_rangeIsRead || (need.isWhole() && !known);
    const auto low = wish.low ? wish.low : need.isWhole() && !known && m_spec.low ? std::optional<double>(double(*m_spec.low)) : std::nullopt;
    const auto high = wish.high ? wish.high : need.isWhole() && !known && m_spec.high ? std::optional<double>(double(*m_spec.high)) : std::nullopt;
    if (!need.isWhole()) {
        if (low.has_value() != high.has_value())
            return bad("input '" + need.info.name + "' needs both " + name + ".low= and " + name + ".high=, or neither for the normal distribution");
        recipe.low = low.value_or(0);
        recipe.high = high.value_or(0);
        if (low && recipe.high <= recipe.low)
            return bad("input '" + need.info.name + "' would lie between " + wish.form + std::to_string(*low) + " and " + std::to_string(*high) + "; high must be more than low");
        return {};
    }
    if (!high && !known) {
        const std::int64_t guessed = need.high > 0 ? need.high : 100;
        if (need.isNumber() && need.high > 0)
            ask("the value of '" + need.info.name + "' (" + need.info.dtype + ")", name + "=" + std::to_string(need.low));
        else
            ask("the range of '" + need.info.name + "' (" + need.info.dtype + ")", (need.low > 0 ? name + ".low=" + std::to_string(need.low) + "," : std::string()) +
                                                                                  name + ".high=" + std::to_string(guessed));
        return {};
    }
    recipe.low = low.value_or(known ? double(need.low) : 0);
    recipe.high = high.value_or(double(need.high));
    if (recipe.low != std::floor(recipe.low) || recipe.high != std::floor(recipe.high) || recipe.high <= recipe.low)
        return bad("input '" + need.info.name + "' cannot be from " + std::to_string(std::int64_t(recipe.low)) + " to below " + std::to_string(std::int64_t(recipe.high)) +
                   "; high must be a whole number above low");
    if (known && (recipe.high > double(need.high) || recipe.low < (need.fromEnd ? -double(need.high) : 0)))
        return bad("input '" + need.info.name + "' cannot be from " + std::to_string(std::int64_t(recipe.low)) + " to below " + std::to_string(std::int64_t(recipe.high)) +
                   ", " + need.rangeFrom + "; stay from 0 to " + std::to_string(need.high));
    return {};
}

Status Maker::plan(std::size_t index, const Wish &wish)
{
    const InputNeed &need = m_context.needs[index];
    Recipe recipe{emptyColumn(need), {}, 0, 0, {}};
    if (need.isNumber()) {
        BW_CHECK(planNumber(recipe, index, wish));
        m_recipes.push_back(std::move(recipe));
        return {};
    }
    Shape shape = need.guess;
    if (!wish.form.empty()) {
        BW_ASSIGN(shape, shapeOf(wish.form, need));
    } else if (!need.asked.empty() || !need.rankKnown) {
        ask("the sizes of '" + need.info.name + "' (" + needText(need) + ")", dataNameOf(need.info.name, index) + "=" + exampleShape(need.guess));
    }
    if (need.batchAxis >= 0)
        shape.erase(shape.begin() + need.batchAxis);
    recipe.shape = std::move(shape);
    BW_CHECK(planRange(recipe, index, wish));
    m_recipes.push_back(std::move(recipe));
    return {};
}

/// One number of a sequence that no other sample or input shares.
std::uint64_t mixed(std::uint64_t seed, std::uint64_t input, std::uint64_t sample)
{
    std::uint64_t value = seed * 0x9e3779b97f4a7c15ULL + input * 0xbf58476d1ce4e5b9ULL + sample + 0x94d049bb133111ebULL;
    for (const int shift : {30, 27, 31}) {
        value ^= value >> shift;
        value *= 0xbf58476d1ce4e5b9ULL;
    }
    return value ^ (value >> 32);
}

at::Tensor Maker::sample(const Recipe &recipe, std::size_t input, std::int64_t number) const
{
    const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(mixed(m_spec.seed, input, std::uint64_t(number)));
    const at::ScalarType type = recipe.column.type;
    if (recipe.value)
        return at::scalar_tensor(*recipe.value, type);
    if (type == at::kBool)
        return at::randint(0, 2, recipe.shape, generator, at::kLong).to(at::kBool);
    if (!at::isFloatingType(type))
        return at::randint(std::int64_t(recipe.low), std::int64_t(recipe.high), recipe.shape, generator, at::kLong).to(type);
    if (recipe.high > recipe.low)
        return at::rand(recipe.shape, generator, at::kFloat) * (recipe.high - recipe.low) + recipe.low;
    return at::randn(recipe.shape, generator, at::kFloat);
}

at::Tensor Maker::fill(const Recipe &recipe, std::size_t input, std::int64_t first, std::int64_t count) const
{
    if (recipe.column.shared)
        return sample(recipe, input, 0);
    Shape shape = recipe.shape;
    shape.insert(shape.begin(), count);
    const at::ScalarType type = recipe.column.type;
    at::Tensor values = at::empty(shape, at::isFloatingType(type) ? at::kFloat : type);
    for (std::int64_t i = 0; i < count && !m_context.job.stopped(); ++i)
        values[i].copy_(sample(recipe, input, first + i));
    return values;
}

Result<Dataset> Maker::make()
{
    const auto &needs = m_context.needs;
    if (needs.empty())
        return bad("the network reads nothing that data could bring; run can be used on it");
    BW_ASSIGN(const auto wishes, wishesOf(m_spec, needs));
    for (std::size_t i = 0; i < needs.size(); ++i)
        BW_CHECK(plan(i, wishes[i]));
    if ((m_spec.low || m_spec.high) && !m_rangeIsRead)
        return bad("low and high are for whole numbers whose range the network does not tell, and it reads none; leave them out or write INPUT.low and INPUT.high");
    if (!m_asked.empty()) {
        std::string asked;
        for (std::size_t i = 0; i < m_asked.size(); ++i)
            asked += (i == 0 ? "" : i + 1 == m_asked.size() ? " and " : ", ") + m_asked[i];
        return bad("the network does not tell " + asked + "; say it, for example random:count=" + std::to_string(m_spec.count) + m_example);
    }
    const std::int64_t first = m_spec.first, left = std::max<std::int64_t>(0, m_spec.count - first);
    const std::int64_t count = m_spec.limit > 0 ? std::min(m_spec.limit, left) : left;
    std::int64_t elements = 0;
    for (const Recipe &recipe : m_recipes) {
        std::int64_t each = recipe.column.shared ? 1 : count;
        for (const std::int64_t size : recipe.shape)
            if (__builtin_mul_overflow(each, std::max<std::int64_t>(1, size), &each))
                each = kMostElements + 1;
        elements = each > kMostElements ? each : elements + each;
        if (elements > kMostElements)
            return bad(std::to_string(count) + " samples of input '" + recipe.column.name + "' (" + shapeText(recipe.shape) + ") do not fit into memory; lower count or the sizes");
    }
    Dataset data;
    std::vector<InputColumn> columns;
    for (std::size_t i = 0; i < m_recipes.size(); ++i) {
        columns.push_back(std::move(m_recipes[i].column));
        m_recipes[i].column = columns.back();
        columns.back().values = fill(m_recipes[i], i, first, count).contiguous();
        if (m_context.job.stopped())
            return cancelled();
        m_context.job.progress("making random data", std::int64_t(i + 1), std::int64_t(m_recipes.size()));
    }
    BW_CHECK(setColumns(data, std::move(columns), "random data"));
    return data;
}

} // namespace

Result<Dataset> makeRandomData(const DataSpec &spec, const DataContext &context)
{
    return Maker(spec, context).make();
}

} // namespace bitwright
