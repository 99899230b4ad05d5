// What an error said.
#pragma once

#include <string>

#include <expunge/core/error.hpp>

namespace expunge::testing {

/// The message of the expunge::error that f throws; empty where it throws none.
template <class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const error& e) {
    return e.what();
  }
  return {};
}

}  // namespace expunge::testing
