// Reader of one safetensors file (https://github.com/huggingface/safetensors, "Format").
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/elements.hpp"
#include "expunge/io/json.hpp"
#include "expunge/io/mapped_file.hpp"
#include "expunge/io/tensor_entry.hpp"

namespace expunge::io {

static_assert(std::endian::native == std::endian::little, "expunge::io reads and writes little-endian files in place");

/// The names of element types in safetensors headers.
inline constexpr std::array<std::pair<dtype, std::string_view>, 13> safetensors_dtype_names{{
    {dtype::f64, "F64"}, {dtype::f32, "F32"}, {dtype::f16, "F16"}, {dtype::bf16, "BF16"}, {dtype::i64, "I64"},
    {dtype::i32, "I32"}, {dtype::i16, "I16"}, {dtype::i8, "I8"}, {dtype::u64, "U64"}, {dtype::u32, "U32"},
    {dtype::u16, "U16"}, {dtype::u8, "U8"}, {dtype::boolean, "BOOL"},
}};

/// A mapped and fully validated file. Entries point into the mapping, so they live as long as this object (or the one
/// it was moved to).
class safetensors_file {
 public:
  /// Throws expunge::error naming the file, and the tensor where there is one, for anything the format forbids:
  /// broken JSON, duplicate names, sizes that do not match, overlaps, gaps, bytes outside the file.
  explicit safetensors_file(std::filesystem::path path) : file_(std::move(path)) {
    const std::string_view text = file_.text();
    std::uint64_t header_size = 0;
    require(text.size() >= sizeof header_size, file_.path(), ": too short for a safetensors file");
    std::memcpy(&header_size, text.data(), sizeof header_size);
    require(header_size <= text.size() - sizeof header_size && header_size <= max_header_size, file_.path(),
            ": header of ", header_size, " bytes in a file of ", text.size(), "; truncated, or not safetensors");
    require(text.substr(sizeof header_size, header_size).starts_with('{'), file_.path(), ": the header is no JSON object");
    const auto header = parse_json(text.substr(sizeof header_size, header_size), file_.path());
    read_header(header, file_.bytes().subspan(sizeof header_size + header_size));
  }

  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }

  /// In the order of their bytes.
  [[nodiscard]] const std::vector<tensor_entry>& tensors() const { return tensors_; }
  [[nodiscard]] const std::map<std::string, std::string>& metadata() const { return metadata_; }
  [[nodiscard]] bool contains(std::string_view name) const { return by_name_.find(name) != by_name_.end(); }

  /// Throws expunge::error when there is no such tensor.
  [[nodiscard]] const tensor_entry& tensor(std::string_view name) const {
    const auto found = by_name_.find(name);
    require(found != by_name_.end(), path(), ": no tensor '", name, "'");
    return tensors_[found->second];
  }

  /// Converts the tensor into `out`. Throws expunge::error unless `out` has its number of elements.
  template <std::floating_point Value>
  void read_into(std::string_view name, std::span<Value> out) const {
    const tensor_entry& entry = tensor(name);
    require(element_count(entry.extents) == std::ssize(out), path(), ": tensor '", name, "' of extents ",
            to_string(entry.extents), " does not fill a destination of ", out.size(), " elements");
    decode_elements(entry.type, entry.bytes, out);
  }

 private:
  static constexpr std::uint64_t max_header_size = 100'000'000;  // the reference implementation's limit

  struct placed {
    std::uint64_t begin, end;
    tensor_entry entry;
  };

  void read_header(const json& header, std::span<const std::byte> data) {
    std::vector<placed> all;
    for (const auto& [name, value] : header.members()) {
      if (name == "__metadata__")
        read_metadata(value);
      else
        all.push_back(read_entry(std::string(name), value));
    }
    std::sort(all.begin(), all.end(),
              [](const placed& a, const placed& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
    std::uint64_t position = 0;
    for (placed& next : all) {
      const std::string& name = next.entry.name;
      require(next.begin == position, path(), ": tensor '", name, "' begins at byte ", next.begin,
              " where the tensor before it ends at ", position);
      require(next.end <= data.size(), path(), ": tensor '", name, "' ends at byte ", next.end, " of ", data.size());
      next.entry.bytes = data.subspan(next.begin, next.end - next.begin);
      position = next.end;
      by_name_.emplace(name, tensors_.size());
      tensors_.push_back(std::move(next.entry));
    }
    require(position == data.size(), path(), ": ", data.size() - position, " bytes after the last tensor");
  }

  void read_metadata(const json& value) {
    require(value.is_object(), path(), ": __metadata__ is no JSON object");
    for (const auto& [key, text] : value.members()) {
      require(text.is_string(), path(), ": __metadata__ '", key, "' is no string");
      metadata_.emplace(key, text.as<std::string>());
    }
  }

  placed read_entry(const std::string& name, const json& value) const {
    const auto check = [&](bool condition, const auto&... what) {
      require(condition, path(), ": tensor '", name, "': ", what...);
    };
    check(value.is_object() && value.size() == 3 && value.contains("dtype") && value.contains("shape") &&
              value.contains("data_offsets"), "expected the keys dtype, shape and data_offsets");
    placed made{0, 0, {.name = name, .type = dtype::f32, .extents = {}, .bytes = {}}};
    const json type = value["dtype"], shape = value["shape"], offsets = value["data_offsets"];
    const std::string type_name = type.is_string() ? type.as<std::string>() : "";
    const auto known = std::find_if(safetensors_dtype_names.begin(), safetensors_dtype_names.end(),
                                    [&](const auto& pair) { return pair.second == type_name; });
    check(known != safetensors_dtype_names.end(), "unsupported dtype ", type.dump());
    made.entry.type = known->first;
    const auto natural = [&](const json& number, const char* what) {
      check(number.is_integer() && number.as<index_t>() >= 0, "bad ", what, ' ', number.dump());
      return number.as<index_t>();
    };
    check(shape.is_array(), "shape is no list");
    for (const json& extent : shape.elements()) made.entry.extents.push_back(natural(extent, "extent"));
    check(offsets.is_array() && offsets.size() == 2, "bad data_offsets");
    const auto range = offsets.elements();
    made.begin = static_cast<std::uint64_t>(natural(range[0], "data_offsets"));
    made.end = static_cast<std::uint64_t>(natural(range[1], "data_offsets"));
    check(made.begin <= made.end, "bad data_offsets");
    const std::uint64_t size = made.end - made.begin;
    const std::size_t unit = size_of(made.entry.type);
    const auto count = element_count(made.entry.extents);
    check(count && size % unit == 0 && static_cast<std::uint64_t>(*count) == size / unit, "extents ",
          to_string(made.entry.extents), " of ", known->second, " do not take the ", size, " bytes of data_offsets");
    return made;
  }

  mapped_file file_;
  std::vector<tensor_entry> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace expunge::io
