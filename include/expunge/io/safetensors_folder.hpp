// The safetensors weights of a model folder, in one file or in shards.
#pragma once

#include <concepts>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "expunge/core/error.hpp"
#include "expunge/io/json.hpp"
#include "expunge/io/mapped_file.hpp"
#include "expunge/io/safetensors.hpp"

namespace expunge::io {

/// All tensors of model.safetensors, or of the shards that model.safetensors.index.json lists, under one set of names.
class safetensors_folder {
 public:
  /// `path` is such a folder, or one safetensors file. Throws expunge::error naming the file at fault: no such path, neither
  /// file present, a broken file, an index that names a missing tensor or a shard outside the folder.
  explicit safetensors_folder(std::filesystem::path path) : path_(std::move(path)) {
    const auto whole = path_ / "model.safetensors";
    const auto index = path_ / "model.safetensors.index.json";
    std::error_code unknown;  // opening the file says what is wrong
    if (!std::filesystem::is_directory(path_, unknown)) {
      open_whole(path_);
    } else if (std::filesystem::exists(whole, unknown) || unknown) {
      open_whole(whole);
    } else {
      require(std::filesystem::exists(index, unknown) || unknown, path_, ": neither model.safetensors nor model.safetensors.index.json");
      open_shards(index);
    }
  }

  /// Sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& [name, file] : file_of_) all.push_back(name);
    return all;
  }

  [[nodiscard]] bool contains(std::string_view name) const { return file_of_.find(name) != file_of_.end(); }

  /// Throws expunge::error when there is no such tensor.
  [[nodiscard]] const tensor_entry& tensor(std::string_view name) const { return file_with(name).tensor(name); }

  /// Converts the tensor into `out`. Throws expunge::error unless `out` has its number of elements.
  template <std::floating_point Value>
  void read_into(std::string_view name, std::span<Value> out) const {
    file_with(name).read_into(name, out);
  }

 private:
  void open_whole(const std::filesystem::path& file) {
    files_.emplace_back(file);
    for (const tensor_entry& entry : files_[0].tensors()) file_of_.emplace(entry.name, 0);
  }

  void open_shards(const std::filesystem::path& index) {
    const json weight_map = parse_json(mapped_file(index).text(), index)["weight_map"];
    require(weight_map.is_object(), index, ": expected an object 'weight_map'");
    std::map<std::string, std::size_t> opened;  // shard -> position in files_
    for (const auto& [name, value] : weight_map.members()) {
      require(value.is_string(), index, ": the shard of '", name, "' is no string");
      const auto shard = value.as<std::string>();
      require(std::filesystem::path(shard).filename() == shard && shard.find('\0') == std::string::npos, index, ": shard '", shard, "' is no plain file name");
      const auto [known, is_new] = opened.emplace(shard, files_.size());
      if (is_new) files_.emplace_back(path_ / shard);
      require(files_[known->second].contains(name), index, ": shard '", shard, "' has no tensor '", name, "'");
      file_of_.emplace(name, known->second);
    }
  }

  [[nodiscard]] const safetensors_file& file_with(std::string_view name) const {
    const auto found = file_of_.find(name);
    require(found != file_of_.end(), path_, ": no tensor '", name, "'");
    return files_[found->second];
  }

  std::filesystem::path path_;
  std::vector<safetensors_file> files_;
  std::map<std::string, std::size_t, std::less<>> file_of_;  // tensor -> position in files_
};

}  // namespace expunge::io
