// The bytes of a GGUF file's parts, for tests that write one.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

template <class T>
std::string bytes(T number) {
  std::string out(sizeof number, '\0');
  std::memcpy(out.data(), &number, sizeof number);
  return out;
}

/// A text with its length in front.
inline std::string text_bytes(const std::string& content) { return bytes(std::uint64_t{content.size()}) + content; }

inline std::string gguf_header(std::uint64_t tensors, std::uint64_t values, std::uint32_t version = 3) {
  return "GGUF" + bytes(version) + bytes(tensors) + bytes(values);
}

/// To the default alignment.
inline std::string padded(std::string part) {
  part.resize((part.size() + 31) / 32 * 32);
  return part;
}
