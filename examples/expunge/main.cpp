// expunge: unlearn facts from a language model, evaluate, audit, attack and inspect it. Exit status 2: bad input.
#include "../standard_output.hpp"
#include "program.hpp"

#include <expunge/core/thread_pool.hpp>

#include <csignal>
#include <iostream>
#include <string>

namespace {

/// One line, whatever the texts and names in it.
int refuse(std::string what) {
  std::replace(what.begin(), what.end(), '\n', ' ');
  std::cerr << "expunge: " << what << '\n';
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  program::occupy_closed_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file larger than the limit is then refused as one on a full disk is
  CLI::App app{"Forget chosen facts from a language model, and prove that they were erased and not merely hidden."};
  app.require_subcommand(1);
  app.fallthrough();
  std::size_t threads = expunge::usable_processors();
  app.add_option("--threads", threads, "threads to use; the result is the same for any number")->check(program::whole(1, 1024));
  program::action run;
  program::add_unlearn(app, run);
  program::add_evaluate(app, run);
  program::add_audit(app, run);
  program::add_attack(app, run);
  program::add_inspect(app, run);
  try {
    app.parse(argc, argv);
    expunge::thread_pool::instance().set_threads(threads);
    run();
    program::finish_standard_output();
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help
    return refuse(std::string(e.what()) + " (see expunge --help)");
  } catch (const std::bad_alloc&) {
    return refuse("out of memory: use a smaller model or batch");
  } catch (const std::exception& e) {
    return refuse(e.what());
  }
}
