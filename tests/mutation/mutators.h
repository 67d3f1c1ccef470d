// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <random>
#include <string>
#include <utility>
#include <vector>

namespace bitwright::mutation {

using Random = std::mt19937_64;
/// Name and content of each member of a zip archive.
using Members = std::vector<std::pair<std::string, std::string>>;

/// Bits flipped, bytes set, blocks cut, doubled, moved, numbers in text replaced; `other` is a seed to splice with.
std::string mutateBytes(std::string bytes, const std::string &other, Random &random);
/// One part of a protobuf message dropped, doubled, moved, set to an extreme or put inside itself; lengths stay right.
std::string mutateProtobuf(const std::string &bytes, const std::string &other, Random &random);
/// One value of a JSON document changed or dropped, in a document that stays valid. What is no JSON is taken as bytes.
std::string mutateJson(const std::string &text, const std::string &other, Random &random);
/// A member of a zip archive changed by its content, or the list of members; every CRC is right afterwards.
std::string mutateZip(const std::string &bytes, const std::string &other, Random &random);
/// The header of a safetensors file changed; its length is right afterwards.
std::string mutateSafetensors(const std::string &bytes, const std::string &other, Random &random);
/// The header or a payload of a pack changed; sizes and checksums are right afterwards.
std::string mutatePack(const std::string &bytes, const std::string &other, Random &random);

} // namespace bitwright::mutation
