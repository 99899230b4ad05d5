// How a step's time grows with the tokens of an example, the forget set, the layers and the width: a table and a picture each.
//   scaling [FOLDER]     writes FOLDER/scaling_*.svg (default: here)
#include <expunge/io/atomic_file.hpp>
#include <expunge/loss/ssiuu.hpp>
#include <expunge/model/decoder_init.hpp>
#include <expunge/report/line_chart.hpp>
#include <expunge/report/table.hpp>
#include <expunge/unlearn/trainer.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

using namespace expunge;
using X = tensor<float>;

namespace {

struct setting {
  index_t tokens = 64, examples = 8, layers = 4, width = 256;
};

std::vector<nn::token_sequence> sequences(std::uint64_t seed, const setting& s) {
  philox g(seed);
  std::vector<nn::token_sequence> out(static_cast<std::size_t>(s.examples));
  for (auto& e : out) {
    for (index_t i = 0; i <= s.tokens; ++i) e.tokens.push_back(static_cast<std::int32_t>(uniform_below(g, 512)));
    e.answer_begin = s.tokens - 2;
  }
  return out;
}

/// The median seconds of a step, the first two left out.
template <class Loss>
double seconds(const setting& s, const Loss& policy) {
  auto m = model::random_decoder<X>({.vocabulary = 512, .width = s.width, .layers = s.layers, .heads = s.width / 64, .kv_heads = s.width / 64,
                                     .head_dim = 64, .ffn_width = 3 * s.width, .context = 2048, .tied = true}, 1);
  std::vector<double> taken;
  unlearn::trainer(m, policy, optim::adamw{.learning_rate = 1e-5},
                   {.batch = s.examples, .order = unlearn::order::given, .on_step = [&](const auto& r) { if (r.step > 2) taken.push_back(r.seconds); }})
      .run(sequences(1, s), sequences(2, s), unlearn::after_steps(5));
  std::nth_element(taken.begin(), taken.begin() + 1, taken.end());
  return taken[1];
}

void curve(const std::filesystem::path& folder, const std::string& name, const std::string& title, index_t setting::*axis, const std::vector<index_t>& values) {
  report::line_chart chart{title, name, "seconds a step", {{"GD", {}}, {"SSIUU, Algorithm 1", {}}, {"SSIUU exact, neurons", {}}, {"SSIUU exact, parameters", {}}}};
  const loss::gradient_difference gd{};
  const loss::ssiuu<> exact{gd, {.curvature = attribution::curvature::exact}, {}};
  for (const index_t value : values) {
    setting s;
    s.*axis = value;
    std::size_t i = 0;
    for (const double t : {seconds(s, gd), seconds(s, loss::ssiuu{}), seconds(s, loss::ssiuu_exact(1e-3)), seconds(s, exact)})
      chart.lines[i++].points.emplace_back(static_cast<double>(value), t);
  }
  std::vector<std::string> head{name};
  for (const auto& l : chart.lines) head.push_back(l.name);
  head.push_back("exponent of GD");
  report::table table(head);
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::vector<std::string> row{std::to_string(values[i])};
    for (const auto& l : chart.lines) row.push_back(report::fixed(l.points[i].second / chart.lines[0].points[0].second, 2));
    const auto& p = chart.lines[0].points;
    row.push_back(i == 0 ? "" : report::fixed(std::log(p[i].second / p[i - 1].second) / std::log(p[i].first / p[i - 1].first), 2));
    table.add(row);
  }
  std::cout << '\n' << title << " (times over GD's first)\n" << table << std::flush;
  io::write_file_atomically(folder / ("scaling_" + name + ".svg"), chart.svg());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::filesystem::path folder = argc > 1 ? argv[1] : ".";
    require(std::filesystem::is_directory(folder), folder.string(), ": no such folder; the curves are drawn into it");
    curve(folder, "tokens", "Tokens an example (8 + 8 examples, 4 layers of 256)", &setting::tokens, {16, 32, 64, 128, 256});
    curve(folder, "examples", "Forget set in one batch (64 tokens, 4 layers of 256)", &setting::examples, {2, 4, 8, 16, 32});
    curve(folder, "layers", "Layers (8 + 8 examples of 64 tokens, width 256)", &setting::layers, {1, 2, 4, 8});
    curve(folder, "width", "Width (8 + 8 examples of 64 tokens, 4 layers)", &setting::width, {64, 128, 256, 512});
  } catch (const std::exception& e) {
    std::cerr << "scaling: " << e.what() << '\n';
    return 2;
  }
}
