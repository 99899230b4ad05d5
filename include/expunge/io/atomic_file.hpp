// Files that appear whole or not at all (POSIX): written beside their place, flushed to disk, then renamed.
#pragma once

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "expunge/core/error.hpp"
#include "expunge/io/file_lock.hpp"

namespace expunge::io {

/// A file under construction at `path` + ".partial". commit() puts it in place; without it the destructor removes it
/// and an older file at `path` stays as it was. A link at `path` is replaced by a file, not followed; the file has the permissions of a
/// new one. What is at `path` + ".partial" is overwritten, but not while another writer has it.
class atomic_file {
 public:
  /// Throws expunge::error naming the file when it cannot be created, when another writer is at it, and for what is no file: a rename
  /// would replace a folder's or a device's name.
  explicit atomic_file(std::filesystem::path path) : path_(std::move(path)), partial_(path_) {
    std::error_code unknown;
    const auto status = std::filesystem::status(path_, unknown);
    require(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status), path_,
            ": this is not a regular file, give the name of one");
    partial_ += ".partial";
    require(!file_lock(partial_, O_NONBLOCK | O_NOFOLLOW).held_elsewhere(), path_,
            ": another run is writing this file, wait for it or give the name of another");  // it would rename ours
    ::unlink(partial_.c_str());  // a file that a crash left, or a link or pipe, through which nothing may be written
    descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0) fail_with_reason("cannot create");
    ::flock(descriptor_, LOCK_EX | LOCK_NB);  // until it is closed, or this process has ended
  }

  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;

  ~atomic_file() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(partial_.c_str());
  }

  /// Appends. Throws expunge::error (disk full and the like).
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ::ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail_with_reason("cannot write");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }

  /// Flushes to disk and renames to the final path; nothing may be written afterwards. Throws expunge::error.
  void commit() {
    if (::fsync(descriptor_) != 0) fail_with_reason("cannot flush");
    if (::rename(partial_.c_str(), path_.c_str()) != 0) fail_with_reason("cannot rename");
    ::close(std::exchange(descriptor_, -1));
    flush_folder();
  }

 private:
  // Makes the rename itself durable. The content is in place by now, so a file system without this is no failure.
  void flush_folder() const {
    const std::filesystem::path parent = path_.parent_path();
    const int folder = ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    ::fsync(folder);
    ::close(folder);
  }

  [[noreturn]] void fail_with_reason(std::string_view what) const {
    fail(what, ' ', partial_, ": ", std::generic_category().message(errno));
  }

  std::filesystem::path path_;
  std::filesystem::path partial_;
  int descriptor_ = -1;
};

/// Makes a folder, and those that it lies in. Throws expunge::error.
inline void make_folder(const std::filesystem::path& path) {
  std::error_code failed;
  std::filesystem::create_directories(path, failed);
  require(!failed, "cannot make the folder ", path, ": ", failed.message());
}

/// Replaces the file at `path` by `content`, whole or not at all. Throws expunge::error.
inline void write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  atomic_file file(path);
  file.write(content);
  file.commit();
}

/// As above with the content that `produce` writes into the atomic_file it is given; when it throws, nothing changes.
template <class Produce>
  requires requires(Produce&& produce, atomic_file& file) { produce(file); }
void write_file_atomically(const std::filesystem::path& path, Produce&& produce) {
  atomic_file file(path);
  produce(file);
  file.commit();
}

}  // namespace expunge::io
