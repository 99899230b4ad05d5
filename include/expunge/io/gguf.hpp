// Reader of GGUF files, versions 2 and 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/core/shape.hpp"
#include "expunge/io/gguf_cursor.hpp"
#include "expunge/io/gguf_metadata.hpp"
#include "expunge/io/gguf_quantization.hpp"
#include "expunge/io/gguf_type.hpp"
#include "expunge/io/mapped_file.hpp"
#include "expunge/io/tensor_entry.hpp"

namespace expunge::io {

static_assert(std::endian::native == std::endian::little, "expunge::io reads little-endian files in place");

/// A mapped and fully validated file. Tensors live as long as this object (or the one it was moved to).
class gguf_file {
 public:
  /// Throws expunge::error naming the file, and the key or tensor, for anything the format forbids: truncation, counts
  /// and lengths beyond the file, duplicate names, unknown types, misaligned or overlapping tensors.
  explicit gguf_file(std::filesystem::path path) : file_(std::move(path)), metadata_(file_.path()) {
    detail::gguf_cursor cursor(file_);
    require(file_.text().substr(0, 4) == "GGUF", file_.path(), ": not a GGUF file");
    cursor.number<std::uint32_t>();
    const auto version = cursor.number<std::uint32_t>();
    require(version == 2 || version == 3, file_.path(), ": GGUF version ", version,
            version > 0xFFFF ? " (a big-endian file)" : "", "; supported are 2 and 3, little-endian");
    const auto tensor_count = cursor.number<std::uint64_t>();
    const auto value_count = cursor.number<std::uint64_t>();
    for (std::uint64_t i = 0; i < value_count; ++i) {
      std::string key = cursor.string();
      cursor.set_context("metadata '" + key + "'");
      metadata_.add(std::move(key), cursor.value());
    }
    read_tensors(cursor, tensor_count);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return file_.path(); }
  [[nodiscard]] const gguf_metadata& metadata() const { return metadata_; }

  /// In the order of the file.
  [[nodiscard]] const std::vector<gguf_tensor>& tensors() const { return tensors_; }
  [[nodiscard]] bool contains(std::string_view name) const { return by_name_.find(name) != by_name_.end(); }

  /// Throws expunge::error when there is no such tensor.
  [[nodiscard]] const gguf_tensor& tensor(std::string_view name) const {
    const auto found = by_name_.find(name);
    require(found != by_name_.end(), path(), ": no tensor '", name, "'");
    return tensors_[found->second];
  }

  /// Dequantises the tensor into `out`. Throws expunge::error naming file, tensor and type unless `out` has its number
  /// of elements and its type is supported.
  template <std::floating_point Value>
  void read_into(std::string_view name, std::span<Value> out) const {
    const gguf_tensor& read = tensor(name);
    try {
      decode_gguf_elements(read.type, read.bytes, out);
    } catch (const error& e) {
      fail(path(), ": tensor '", name, "' of extents ", to_string(read.extents), ": ", e.what());
    }
  }

 private:
  void read_tensors(detail::gguf_cursor& cursor, std::uint64_t count) {
    std::vector<std::uint64_t> offsets;
    cursor.set_context("the list of tensors");
    for (std::uint64_t i = 0; i < count; ++i) {
      tensors_.push_back(read_tensor(cursor));
      offsets.push_back(cursor.number<std::uint64_t>());
      const std::string& name = tensors_.back().name;
      require(by_name_.emplace(name, tensors_.size() - 1).second, path(), ": tensor '", name, "' occurs twice");
    }
    const auto alignment = metadata_.get_or<std::uint32_t>("general.alignment", 32);
    require(std::has_single_bit(alignment), path(), ": general.alignment is ", alignment, ", no power of two");
    place_tensors(offsets, (cursor.position() + alignment - 1) / alignment * alignment, alignment);
  }

  gguf_tensor read_tensor(detail::gguf_cursor& cursor) const {
    gguf_tensor made{cursor.string(), {}, {}, {}};
    const auto rank = cursor.number<std::uint32_t>();
    require(rank <= 4, path(), ": tensor '", made.name, "': ", rank, " dimensions; the format allows 4");
    for (std::uint32_t i = 0; i < rank; ++i) {
      const auto extent = cursor.number<std::uint64_t>();
      require(std::in_range<index_t>(extent), path(), ": tensor '", made.name, "': bad extent ", extent);
      made.extents.insert(made.extents.begin(), static_cast<index_t>(extent));
    }
    const auto code = cursor.number<std::uint32_t>();
    const auto* const known = std::find_if(gguf_types.begin(), gguf_types.end(),
                                           [&](const gguf_type& type) { return type.code == gguf_code{code}; });
    require(known != gguf_types.end(), path(), ": tensor '", made.name, "': unknown element type ", code);
    made.type = *known;
    return made;
  }

  // Gives every tensor its bytes: `offsets` count from `data_begin`.
  void place_tensors(const std::vector<std::uint64_t>& offsets, std::size_t data_begin, std::uint32_t alignment) {
    const auto data = file_.bytes().subspan(std::min(data_begin, file_.bytes().size()));
    std::vector<const gguf_tensor*> ordered;
    for (std::size_t i = 0; i < offsets.size(); ++i) {
      gguf_tensor& placed = tensors_[i];
      const gguf_type& type = placed.type;
      const auto elements = element_count(placed.extents);
      const auto row = static_cast<std::size_t>(placed.extents.empty() ? 1 : placed.extents.back());
      require(elements && row % type.block == 0, path(), ": tensor '", placed.name, "': extents ",
              to_string(placed.extents), " are too large or no whole blocks of ", type.name);
      const std::size_t blocks = static_cast<std::size_t>(*elements) / type.block;
      require(offsets[i] % alignment == 0 && offsets[i] <= data.size() &&
                  blocks <= (data.size() - offsets[i]) / type.block_bytes,
              path(), ": tensor '", placed.name, "': ", blocks, " blocks at offset ", offsets[i],
              " are misaligned or end beyond the file");
      placed.bytes = data.subspan(offsets[i], blocks * type.block_bytes);
      if (blocks > 0) ordered.push_back(&placed);
    }
    std::sort(ordered.begin(), ordered.end(),
              [](const gguf_tensor* a, const gguf_tensor* b) { return a->bytes.data() < b->bytes.data(); });
    for (std::size_t i = 1; i < ordered.size(); ++i) {
      const gguf_tensor &before = *ordered[i - 1], &after = *ordered[i];
      require(before.bytes.data() + before.bytes.size() <= after.bytes.data(), path(), ": tensors '", before.name,
              "' and '", after.name, "' overlap");
    }
  }

  mapped_file file_;
  gguf_metadata metadata_;
  std::vector<gguf_tensor> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

}  // namespace expunge::io
