// Writer of safetensors files, one tensor in memory at a time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/atomic_file.hpp"
#include "expunge/io/json.hpp"
#include "expunge/io/safetensors.hpp"
#include "expunge/io/tensor_entry.hpp"

namespace expunge::io {

/// Gives the bytes of an entry when its turn comes; they must stay valid until the next call.
using bytes_of_entry = std::function<std::span<const std::byte>(const tensor_entry&)>;

/// Writes `entries` to `path`, whole or not at all, wider element types first so that every tensor is aligned.
/// `metadata` defaults to what transformers expects. By default the bytes are those of the entries; with `bytes_of`
/// they are made (downloaded, encoded) tensor by tensor. Throws expunge::error naming the file and the tensor for
/// duplicate or reserved names, bytes that do not match the extents, and failures to write.
inline void write_safetensors(
    const std::filesystem::path& path, std::span<const tensor_entry> entries,
    const std::map<std::string, std::string>& metadata = {{"format", "pt"}},
    const bytes_of_entry& bytes_of = [](const tensor_entry& entry) { return entry.bytes; }) {
  const auto byte_size = [&](const tensor_entry& entry) {
    const auto count = element_count(entry.extents);
    require(count.has_value(), path, ": tensor '", entry.name, "': bad extents ", to_string(entry.extents));
    return static_cast<std::uint64_t>(*count) * size_of(entry.type);
  };

  std::vector<const tensor_entry*> ordered;
  for (const tensor_entry& entry : entries) ordered.push_back(&entry);
  std::ranges::sort(ordered, [](const tensor_entry* a, const tensor_entry* b) {
    return size_of(a->type) == size_of(b->type) ? a < b : size_of(a->type) > size_of(b->type);
  });

  const auto text_of = [&](std::string_view name) {
    try {
      return json_string_of(name);
    } catch (const error& e) {
      fail(path, ": names and metadata must be UTF-8: ", e.what());
    }
  };
  std::string text = "{";
  const auto add = [&](std::string_view name, const std::string& value) { text += (text.back() == '{' ? "" : ",") + text_of(name) + ":" + value; };
  if (!metadata.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) add(key, text_of(value));
    text += "}";
  }
  std::set<std::string_view> names{"__metadata__"};
  std::uint64_t position = 0;
  for (const tensor_entry* entry : ordered) {
    require(names.insert(entry->name).second, path, ": tensor name '", entry->name, "' is reserved or used twice");
    const std::uint64_t end = position + byte_size(*entry);
    const auto type_name = std::find_if(safetensors_dtype_names.begin(), safetensors_dtype_names.end(),
                                        [&](const auto& pair) { return pair.first == entry->type; });
    add(entry->name, "{\"dtype\":" + text_of(type_name->second) + ",\"shape\":" + to_string(entry->extents) + ",\"data_offsets\":[" +
                         std::to_string(position) + "," + std::to_string(end) + "]}");
    position = end;
  }
  text += "}";
  text.append((8 - text.size() % 8) % 8, ' ');

  write_file_atomically(path, [&](atomic_file& file) {
    const std::uint64_t header_size = text.size();
    file.write(std::as_bytes(std::span(&header_size, 1)));
    file.write(text);
    for (const tensor_entry* entry : ordered) {
      const std::span<const std::byte> bytes = bytes_of(*entry);
      require(bytes.size() == byte_size(*entry), path, ": tensor '", entry->name, "' of extents ",
              to_string(entry->extents), " takes ", byte_size(*entry), " bytes, not ", bytes.size());
      file.write(bytes);
    }
  });
}

}  // namespace expunge::io
