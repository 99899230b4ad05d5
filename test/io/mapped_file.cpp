#include "expunge/io/mapped_file.hpp"

#include <utility>

#include <boost/test/unit_test.hpp>

#include <sys/stat.h>

#include "temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(mapped_files)

BOOST_AUTO_TEST_CASE(content_survives_moves) {
  const temporary_folder folder;
  expunge::io::mapped_file first(folder.write("a", "hello"));
  const auto* address = first.bytes().data();
  expunge::io::mapped_file second(std::move(first));
  BOOST_TEST(second.text() == "hello");
  expunge::io::mapped_file third(folder.write("b", "other"));
  third = std::move(second);
  BOOST_TEST(third.text() == "hello");
  BOOST_TEST(third.bytes().data() == address);
}

BOOST_AUTO_TEST_CASE(a_mapping_needs_no_open_file) {
  const temporary_folder folder;
  const auto before = open_files();
  const expunge::io::mapped_file file(folder.write("one", "1"));
  BOOST_TEST(file.text() == "1");
  BOOST_TEST(open_files() == before);
}

BOOST_AUTO_TEST_CASE(empty_file) {
  const temporary_folder folder;
  const expunge::io::mapped_file file(folder.write("empty", ""));
  BOOST_TEST(file.bytes().empty());
  BOOST_TEST(file.text().empty());
}

BOOST_AUTO_TEST_CASE(failures_name_the_file) {
  const temporary_folder folder;
  BOOST_CHECK_EXCEPTION(expunge::io::mapped_file(folder.path() / "missing"), expunge::error,
                        message_contains("missing"));
  BOOST_CHECK_EXCEPTION(expunge::io::mapped_file(folder.path()), expunge::error, message_contains("not a regular"));
}

BOOST_AUTO_TEST_CASE(a_pipe_is_refused_without_waiting_for_its_writer, *boost::unit_test::timeout(10)) {
  const temporary_folder folder;
  const auto path = folder.path() / "pipe";
  BOOST_TEST_REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  BOOST_CHECK_EXCEPTION(expunge::io::mapped_file{path}, expunge::error, message_contains("not a regular"));
}

BOOST_AUTO_TEST_SUITE_END()
