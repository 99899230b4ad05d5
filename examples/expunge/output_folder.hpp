// The folder a command writes: its files appear when all is done; on failure it is gone again, or as it was.
#pragma once

#include <expunge/core/error.hpp>
#include <expunge/io/file_lock.hpp>

#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

#include <fcntl.h>

namespace program {

/// Makes the folder at once, so that a long run does not fail at its end. Files are written to stage() and moved by commit().
class output_folder {
 public:
  /// Throws expunge::error naming the folder where it cannot be made or written to, while another run is to write it, and where it holds
  /// weights under other names, which would stay beside the new ones and be what other programs load.
  explicit output_folder(std::filesystem::path path) : path_(std::filesystem::absolute(path)), stage_(path_ / ".partial") {
    for (const char* other : {"model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_config.json"})
      expunge::require(!std::filesystem::exists(path_ / other), path, ": holds other weights (", other,
                       ") that would stay beside the new ones, choose another folder");
    for (const char* ours : {"config.json", "model.safetensors", "tokenizer.json"})
      expunge::require(!std::filesystem::is_directory(path_ / ours), path, ": holds a folder named ", ours, ", choose another folder");
    for (std::filesystem::path up = path_; !std::filesystem::exists(std::filesystem::symlink_status(up)); up = up.parent_path()) made_.push_back(up);
    std::error_code failure;
    std::filesystem::create_directories(path_, failure);
    lock_.emplace(path_, O_DIRECTORY);
    expunge::require(!lock_->held_elsewhere(), path, ": another run is to write this folder, wait for it or choose another one");
    std::filesystem::remove_all(stage_, failure);  // of a run that was killed
    std::filesystem::create_directories(stage_, failure);
    if (failure) discard();
    expunge::require(!failure, path, ": cannot make this folder, choose another one: ", failure.message());
  }

  output_folder(const output_folder&) = delete;
  output_folder& operator=(const output_folder&) = delete;

  ~output_folder() { discard(); }

  [[nodiscard]] const std::filesystem::path& stage() const { return stage_; }

  void commit() {
    for (const auto& file : std::filesystem::directory_iterator(stage_)) std::filesystem::rename(file, path_ / file.path().filename());
    made_.clear();  // they stay
  }

 private:
  void discard() const {
    std::error_code ignored;
    std::filesystem::remove_all(stage_, ignored);
    for (const auto& folder : made_)  // each only while it is empty: another run may have written there meanwhile
      if (std::filesystem::is_directory(folder, ignored)) std::filesystem::remove(folder, ignored);
  }

  std::filesystem::path path_, stage_;
  std::optional<expunge::io::file_lock> lock_;  // of the folder, until this run has ended
  std::vector<std::filesystem::path> made_;  // the folders that were not there before, innermost first
};

}  // namespace program
