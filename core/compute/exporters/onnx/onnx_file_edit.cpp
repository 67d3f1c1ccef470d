// SPDX-License-Identifier: GPL-3.0-or-later
#include "exporters/onnx/onnx_file_edit.h"

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

namespace bitwright {

namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::pbf_writer;

// Numbers in onnx.proto.
namespace field {
namespace model { enum { Graph = 7, Metadata = 14 }; }
namespace graph { enum { Node = 1, Initializer = 5, Input = 11 }; }
namespace node { enum { Input = 1, Output = 2, Attribute = 5 }; }
namespace attribute { enum { Name = 1, Graph = 6 }; }
}

void copyField(pbf_reader &reader, pbf_writer &out)
{
    const auto tag = reader.tag();
    switch (reader.wire_type()) {
    case pbf_wire_type::varint: out.add_uint64(tag, reader.get_uint64()); break;
    case pbf_wire_type::fixed32: out.add_fixed32(tag, reader.get_fixed32()); break;
    case pbf_wire_type::fixed64: out.add_fixed64(tag, reader.get_fixed64()); break;
    case pbf_wire_type::length_delimited: {
        const auto view = reader.get_view();
        out.add_bytes(tag, view.data(), view.size());
        break;
    }
    default: reader.skip();
    }
}

std::string textOf(pbf_reader reader, unsigned tag)
{
    std::string text;
    while (reader.next()) {
        if (reader.tag() == tag && reader.wire_type() == pbf_wire_type::length_delimited)
            text = reader.get_string();
        else
            reader.skip();
    }
    return text;
}

void editGraph(pbf_reader reader, pbf_writer out, const OnnxFileEdit &edit);

using BodyEdits = std::map<std::string, std::shared_ptr<OnnxFileEdit>>;

void editAttribute(pbf_reader reader, pbf_writer out, const BodyEdits &bodies)
{
    const auto body = bodies.find(textOf(reader, field::attribute::Name));
    while (reader.next()) {
        if (body != bodies.end() && reader.tag() == field::attribute::Graph && reader.wire_type() == pbf_wire_type::length_delimited)
            editGraph(reader.get_message(), pbf_writer(out, field::attribute::Graph), *body->second);
        else
            copyField(reader, out);
    }
}

std::string editedNode(pbf_reader reader, const std::map<std::size_t, std::string> &inputs, const std::map<std::size_t, std::string> &outputs,
                       const BodyEdits &bodies)
{
    std::string bytes;
    pbf_writer out(bytes);
    std::size_t input = 0, output = 0;
    const auto renamed = [&](unsigned tag, std::size_t at, const std::map<std::size_t, std::string> &names) {
        const auto found = names.find(at);
        if (found == names.end())
            copyField(reader, out);
        else
            out.add_string(tag, found->second);
        if (found != names.end())
            reader.skip();
    };
    while (reader.next()) {
        if (reader.tag() == field::node::Input)
            renamed(field::node::Input, input++, inputs);
        else if (reader.tag() == field::node::Output)
            renamed(field::node::Output, output++, outputs);
        else if (!bodies.empty() && reader.tag() == field::node::Attribute && reader.wire_type() == pbf_wire_type::length_delimited)
            editAttribute(reader.get_message(), pbf_writer(out, field::node::Attribute), bodies);
        else
            copyField(reader, out);
    }
    for (const auto &[at, name] : inputs) {
        for (; input < at; ++input)
            out.add_string(field::node::Input, "");
        if (at >= input) {
            out.add_string(field::node::Input, name);
            input = at + 1;
        }
    }
    return bytes;
}

void editGraph(pbf_reader reader, pbf_writer out, const OnnxFileEdit &edit)
{
    for (const onnx::Node &node : edit.front)
        out.add_message(field::graph::Node, onnx::serialize(node));
    std::size_t index = 0;
    static const std::map<std::size_t, std::string> kNone;
    const auto named = [](const auto &all, std::size_t at) -> const std::map<std::size_t, std::string> & {
        const auto found = all.find(at);
        return found == all.end() ? kNone : found->second;
    };
    while (reader.next()) {
        const bool length = reader.wire_type() == pbf_wire_type::length_delimited;
        if (reader.tag() == field::graph::Node && length) {
            const std::size_t at = index++;
            if (const auto before = edit.before.find(at); before != edit.before.end())
                for (const onnx::Node &node : before->second)
                    out.add_message(field::graph::Node, onnx::serialize(node));
            if (edit.removedNodes.contains(at))
                reader.skip();
            else if (const auto other = edit.replacedNodes.find(at); other != edit.replacedNodes.end()) {
                out.add_message(field::graph::Node, onnx::serialize(other->second));
                reader.skip();
            } else if (edit.inputs.contains(at) || edit.renamedOutputs.contains(at) || edit.bodies.contains(at)) {
                const auto bodies = edit.bodies.find(at);
                out.add_message(field::graph::Node, editedNode(reader.get_message(), named(edit.inputs, at), named(edit.renamedOutputs, at),
                                                               bodies == edit.bodies.end() ? BodyEdits{} : bodies->second));
            } else
                copyField(reader, out);
            continue;
        }
        const bool initializer = reader.tag() == field::graph::Initializer && length, input = reader.tag() == field::graph::Input && length;
        if (initializer || input) {
            const auto view = reader.get_view();
            if (!edit.removedInitializers.contains(textOf(pbf_reader(view), initializer ? 8 : 1)))
                out.add_bytes(reader.tag(), view.data(), view.size());
            continue;
        }
        copyField(reader, out);
    }
    for (const onnx::Tensor &tensor : edit.initializers)
        out.add_message(field::graph::Initializer, onnx::serialize(tensor));
}

} // namespace

Result<std::string> editedFile(std::string_view bytes, const std::string &path, const OnnxFileEdit &edit)
{
    std::string made;
    pbf_writer out(made);
    try {
        pbf_reader reader(bytes.data(), bytes.size());
        while (reader.next()) {
            const bool length = reader.wire_type() == pbf_wire_type::length_delimited;
            if (reader.tag() == field::model::Graph && length) {
                editGraph(reader.get_message(), pbf_writer(out, field::model::Graph), edit);
            } else if (reader.tag() == field::model::Metadata && length) {
                const auto view = reader.get_view();
                if (!edit.metadata.contains(textOf(pbf_reader(view), 1)))
                    out.add_bytes(field::model::Metadata, view.data(), view.size());
            } else {
                copyField(reader, out);
            }
        }
    } catch (const std::exception &e) {
        return fail(ErrorKind::Parse, path + ", the file has changed and is damaged now; open it again", e.what());
    }
    for (const auto &[key, value] : edit.metadata) {
        pbf_writer item(out, field::model::Metadata);
        item.add_string(1, key);
        item.add_string(2, value);
    }
    return made;
}

} // namespace bitwright
