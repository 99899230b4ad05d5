#include "expunge/io/atomic_file.hpp"

#include <stdexcept>

#include <boost/test/unit_test.hpp>

#include "temporary_folder.hpp"

using expunge::io::atomic_file;
using expunge::io::write_file_atomically;

BOOST_AUTO_TEST_SUITE(atomic_files)

BOOST_AUTO_TEST_CASE(replaces_the_old_content) {
  const temporary_folder folder;
  const auto path = folder.write("log", "a much longer old content");
  write_file_atomically(path, "new");
  BOOST_TEST(read_all(path) == "new");
  write_file_atomically(path, [](atomic_file& file) {
    file.write("a");
    file.write("");
    file.write("b");
  });
  BOOST_TEST(read_all(path) == "ab");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "log.partial"));
}

BOOST_AUTO_TEST_CASE(a_failure_changes_nothing) {
  const temporary_folder folder;
  const auto path = folder.write("log", "old");
  const auto broken = [](atomic_file& file) {
    file.write("half of the new");
    throw std::runtime_error("stop");
  };
  BOOST_CHECK_THROW(write_file_atomically(path, broken), std::runtime_error);
  BOOST_TEST(read_all(path) == "old");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "log.partial"));
}

BOOST_AUTO_TEST_CASE(errors_name_the_file) {
  const temporary_folder folder;
  BOOST_CHECK_EXCEPTION(write_file_atomically(folder.path() / "no" / "where", "x"), expunge::error,
                        message_contains("where"));
  std::filesystem::create_directory(folder.path() / "taken");
  BOOST_CHECK_EXCEPTION(write_file_atomically(folder.path() / "taken", "x"), expunge::error,
                        message_contains("not a regular file"));
  BOOST_CHECK_EXCEPTION(expunge::io::atomic_file("/dev/null"), expunge::error, message_contains("/dev/null"));
  BOOST_TEST(!std::filesystem::exists(folder.path() / "taken.partial"));
}

BOOST_AUTO_TEST_SUITE_END()
