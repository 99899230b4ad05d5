#include "../../examples/expunge/output_folder.hpp"

#include <boost/test/unit_test.hpp>

#include "../io/temporary_folder.hpp"

using program::output_folder;

BOOST_AUTO_TEST_SUITE(output_folders)

BOOST_AUTO_TEST_CASE(what_was_not_there_is_gone_after_a_failure) {
  const temporary_folder folder;
  { const output_folder made(folder.path() / "sweep" / "a"); }
  BOOST_TEST(!std::filesystem::exists(folder.path() / "sweep"));
  { const output_folder made(folder.path() / "x" / ".." / "y"); }
  BOOST_TEST(std::filesystem::is_empty(folder.path()));
}

BOOST_AUTO_TEST_CASE(what_another_run_wrote_meanwhile_stays) {
  const temporary_folder folder;
  {
    const output_folder fails(folder.path() / "sweep" / "a");
    output_folder other(folder.path() / "sweep" / "b");
    std::ofstream(other.stage() / "config.json") << "whole";
    other.commit();
  }
  BOOST_TEST(!std::filesystem::exists(folder.path() / "sweep" / "a"));
  BOOST_TEST(read_all(folder.path() / "sweep" / "b" / "config.json") == "whole");
  BOOST_TEST(!std::filesystem::exists(folder.path() / "sweep" / "b" / ".partial"));
}

BOOST_AUTO_TEST_CASE(a_second_run_does_not_take_the_folder_of_the_first) {
  const temporary_folder folder;
  const auto path = folder.path() / "out";
  {
    output_folder first(path);
    std::ofstream(first.stage() / "config.json") << "of the first";
    BOOST_CHECK_EXCEPTION(output_folder second(path), expunge::error, message_contains("out\": another run is to write this folder"));
    first.commit();
  }
  BOOST_TEST(read_all(path / "config.json") == "of the first");
  std::filesystem::create_directories(path / ".partial" / "of a run that was killed");
  { const output_folder third(path); }
  BOOST_TEST(!std::filesystem::exists(path / ".partial"));
}

BOOST_AUTO_TEST_CASE(a_link_to_nowhere_stays) {
  const temporary_folder folder;
  std::filesystem::create_symlink("nowhere", folder.path() / "link");
  BOOST_CHECK_THROW(output_folder(folder.path() / "link"), expunge::error);
  BOOST_TEST(std::filesystem::is_symlink(folder.path() / "link"));
}

BOOST_AUTO_TEST_SUITE_END()
