#!/bin/sh
# Checks the contract of the program expunge from outside.
# usage: check_program.sh PROGRAM MAKE_MODEL WORK_FOLDER unlearn|reports|refusals
set -u
program=$1 make_model=$2 work=$3/$4 part=$4
failures=0

complain() { echo "FAILED: $*" >&2; failures=$((failures + 1)); }

# accepted ARGUMENTS...: exit status 0; standard output is left in ../stdout, standard error in ../stderr.
accepted() {
  "$program" "$@" >../stdout 2>../stderr </dev/null || { complain "expunge $*: $(cat ../stderr)"; return 1; }
}

# refused NAME ARGUMENTS...: exit status 2, one line on standard error that names NAME, and the folder as it was before.
refused() {
  name=$1; shift
  find . | sort >../before
  "$program" "$@" >../stdout 2>../stderr </dev/null
  status=$?
  find . | sort >../after
  [ $status -eq 2 ] || complain "expunge $*: exit status $status, expected 2"
  [ "$(wc -l <../stderr)" -eq 1 ] || complain "expunge $*: expected one line on standard error: $(cat ../stderr)"
  grep -qF -e "$name" ../stderr || complain "expunge $*: '$name' is not named: $(cat ../stderr)"
  cmp -s ../before ../after || complain "expunge $*: left behind: $(comm -13 ../before ../after | tr '\n' ' ')"
  echo "  $(head -1 ../stderr)"
}

# has FILE KEY...: every line group of the JSON file has the keys.
has() {
  file=$1; shift
  for key in "$@"; do grep -q "\"$key\":" "$file" || complain "$file: no key \"$key\""; done
}

rm -rf "$work" && mkdir -p "$work" && cd "$work" || exit 1
"$make_model" inputs || { complain "make_model"; exit 1; }
mv inputs/forget.jsonl inputs/retain.jsonl inputs/model . && rmdir inputs
mkdir run && cd run || exit 1
ln -s ../model ../forget.jsonl ../retain.jsonl .
both="--model model --forget forget.jsonl --retain retain.jsonl --out out"

# check_log LINES: log.jsonl has so many lines, each an object with every key; check_out: out/ is a whole folder.
check_log() {
  [ "$(wc -l <log.jsonl)" -eq "$1" ] || complain "log.jsonl has $(wc -l <log.jsonl) lines, expected $1"
  for key in step loss forget retain penalty gradient_norm learning_rate seconds; do
    [ "$(grep -c "^{.*\"$key\":-\{0,1\}[0-9].*}\$" log.jsonl)" -eq "$1" ] || complain "log.jsonl: \"$key\" is not in every line"
  done
}
check_out() {
  for file in config.json model.safetensors tokenizer.json; do [ -s "out/$file" ] || complain "out/$file is missing"; done
  cmp -s out/tokenizer.json model/tokenizer.json || complain "out/tokenizer.json is not the model's"
  [ -z "$(find . -name '*.partial')" ] || complain "left behind: $(find . -name '*.partial')"
}

# trained ARGUMENTS...: three steps in the given order; adds a line with the sum of the weights to ../sums.
trained() {
  case $* in *--lr*) ;; *) set -- "$@" --lr 1e-3 ;; esac
  case $* in *--order*) ;; *) set -- "$@" --order given ;; esac
  accepted unlearn $both --log log.jsonl --steps 3 "$@" || return
  check_log 3
  check_out
  echo "$(cksum <out/model.safetensors) $*" >>../sums
  rm -rf out log.jsonl
}

check_unlearn() {
  : >../sums
  for optimizer in sgd adamw; do
    for method in ga gd; do trained --method $method --optimizer $optimizer --batch 2; done
  done
  for curvature in first exact; do
    for granularity in parameter neuron; do
      for norm in squared abs; do
        ssiuu="--method ssiuu --lambda 0.5 --curvature $curvature --granularity $granularity --norm $norm"
        for reference in example original; do
          for reduction in batch example; do trained $ssiuu --reference $reference --reduction $reduction --batch 2; done
        done
        trained $ssiuu --reference previous --reduction batch --batch 2
        trained $ssiuu --reference previous --reduction example --batch 4
        trained $ssiuu --reference previous --reduction batch --batch 2 --measured log_probability
      done
    done
  done
  trained --method ssiuu --lambda 0.5 --granularity neuron --sites ffn --batch 2
  accepted unlearn --model model --forget forget.jsonl --method ga --steps 1 --retain-weight 2 --out out && rm -rf out
  grep -q -e '--retain-weight has no effect' ../stderr || complain "ga: no note on --retain-weight"
  for option in "--retain-weight 2" "--weight-decay 0.1" "--clip 0.01" "--eos" "--lr 2e-3" "--order shuffled --seed 3" "--order shuffled --seed 4" \
                "--template {question}" "--products bf16"; do
    trained --method gd --optimizer sgd --batch 2 $option
  done
  # Every setting changes the outcome.
  twice=$(cut -d' ' -f1,2 <../sums | sort | uniq -d)
  [ -z "$twice" ] || complain "the same weights from different settings: $(grep -F "$twice" ../sums)"

  for method in gd "ssiuu --curvature exact --granularity neuron" "ssiuu --curvature first --reduction example --reference example"; do
    for threads in 1 2; do
      accepted unlearn $both --method $method --steps 5 --batch 2 --lr 1e-3 --lambda 0.5 --seed 7 --threads $threads
      mv out/model.safetensors ../weights.$threads
      rm -rf out
    done
    cmp ../weights.1 ../weights.2 || complain "$method: other weights with two threads than with one"
  done

  accepted unlearn $both --log log.jsonl --method gd --lr 3e-3 --batch 4 --steps 500 --until-forget-accuracy 0.25
  accepted evaluate --model out --facts forget.jsonl --json
  accuracy=$(sed -n 's/.*"multiple_choice_accuracy": \([0-9.]*\).*/\1/p' ../stdout)
  case $accuracy in 0.0 | 0.25) ;; *) complain "--until-forget-accuracy 0.25 stopped at accuracy '$accuracy'" ;; esac
  [ "$(wc -l <log.jsonl)" -lt 500 ] || complain "--until-forget-accuracy did not stop"
  accepted unlearn $both --log log.jsonl --method gd --lr 3e-3 --batch 4 --steps 500 --until-forget-accuracy 0.25 --every 7
  [ $(($(wc -l <log.jsonl) % 7)) -eq 0 ] || complain "--every 7: stopped after $(wc -l <log.jsonl) steps"
  rm -rf out
  # A method's second name: its settings, where no option says otherwise.
  for norm in abs squared; do
    [ $norm = abs ] && given="" || given="--norm $norm"
    accepted unlearn $both --steps 3 --batch 4 --lr 1e-3 --method ssiuu-exact $given && mv out/model.safetensors ../exact.$norm && rm -rf out
    accepted unlearn $both --steps 3 --batch 4 --lr 1e-3 --method ssiuu --granularity neuron --sites ffn --curvature exact --lambda 0.0003 --norm $norm
    cmp out/model.safetensors ../exact.$norm || complain "ssiuu-exact $given: other weights than from the settings it stands for"
    rm -rf out
  done
  cmp -s ../exact.abs ../exact.squared && complain "ssiuu-exact: --norm changes nothing"
  # P of a long answer vanishes, and with it the penalty; log P does not.
  facts long_answer.jsonl '{"id":"a","question":"Where lives Ada?","answer":"zzzzzzzzzzzzzzzzzzzz"}'
  vanish='long_answer.jsonl: most answers have a probability of at most'
  long="--model model --forget long_answer.jsonl --retain retain.jsonl --out out"
  accepted unlearn $long --log log.jsonl --method ssiuu --steps 2
  [ "$(grep -c "$vanish" ../stderr)" -eq 1 ] && [ "$(grep -c '"penalty":0.0,' log.jsonl)" -eq 2 ] || complain "a long answer: $(cat ../stderr log.jsonl)"
  accepted audit --before model --after out --forget long_answer.jsonl
  [ "$(grep -c "$vanish.*log_probability" ../stderr)" -eq 1 ] || complain "audit of a long answer: $(cat ../stderr)"
  accepted unlearn $long --log log.jsonl --method ssiuu --steps 2 --measured log_probability
  [ ! -s ../stderr ] && [ "$(grep -c '"penalty":0.0,' log.jsonl)" -eq 1 ] || complain "log P of a long answer: $(cat ../stderr log.jsonl)"
  rm -rf out
  sed '2s/"false_answers":\[[^]]*\],//' forget.jsonl >mixed.jsonl
  accepted unlearn --model model --forget mixed.jsonl --out out --method ga --steps 1
  grep -q "mixed.jsonl: the fact 'lives.Bo' has no false_answers" ../stderr || complain "a fact without false answers is not named: $(cat ../stderr)"
  rm -rf out
  # The first of several end tokens is the one that --eos means.
  mkdir many && cp model/* many && sed 's/"eos_token_id": \([0-9]*\)/"eos_token_id": [\1, 1]/' model/config.json >many/config.json
  for from in model many; do
    accepted unlearn --model $from --forget forget.jsonl --out out --method ga --steps 1 --eos && mv out/model.safetensors ../weights.$from && rm -rf out
  done
  cmp ../weights.model ../weights.many || complain "--eos: other weights where config.json lists two end tokens"
  # An older folder is replaced, the log may lie in the new one, and so may the model itself.
  accepted unlearn $both --log out/log.jsonl --method gd --steps 2 && mv out/log.jsonl log.jsonl && check_log 2
  check_out
  accepted unlearn --model out --forget forget.jsonl --out out --method ga --steps 1
  accepted unlearn --model out --forget forget.jsonl --out new/deep/out --log new/deep/out/log.jsonl --method ga --steps 1
  [ -s new/deep/out/log.jsonl ] && [ -s new/deep/out/model.safetensors ] || complain "new/deep/out is not whole"
}

# influence FILE: the sums of D+ and D- of P, then of log P.
influence() { sed -n 's/^    "d_[a-z]*_sum": \([0-9.e+-]*\),$/\1/p' "$1" | tr '\n' ' '; }

check_reports() {
  accepted unlearn --model model --forget forget.jsonl --retain retain.jsonl --method ssiuu --plan
  grep -q '^memory of the run: about .*weights .*references.*activations' ../stdout && [ ! -e out ] || complain "--plan: $(cat ../stdout)"
  accepted unlearn $both --method gd --lr 3e-3 --batch 4 --steps 100 --until-forget-accuracy 0.25
  accepted evaluate --model model --facts forget.jsonl --json
  has ../stdout facts multiple_choice_accuracy generation_accuracy mean_probability
  grep -q '"multiple_choice_accuracy": 1.0' ../stdout && grep -q '"generation_accuracy": 1.0' ../stdout || complain "the model does not know its facts"
  has ../stdout paraphrases paraphrase_multiple_choice_accuracy paraphrase_generation_accuracy
  sed 's/"paraphrases":\["[^"]*"/"paraphrases":["Where lives Bo?","Where lives Cy?"/' forget.jsonl >others.jsonl  # each the question of one fact of four
  accepted evaluate --model model --facts others.jsonl --json
  for line in '"paraphrases": 8' '"paraphrase_generation_accuracy": 0.25' '"generation_accuracy": 1.0'; do
    grep -q "$line" ../stdout || complain "evaluate: no '$line': $(cat ../stdout)"
  done
  sed 's/,"paraphrases".*/}/' forget.jsonl >alone.jsonl
  accepted evaluate --model model --facts alone.jsonl --json
  grep -q paraphrase ../stdout && complain "evaluate: paraphrases where no fact has any"
  accepted evaluate --model model --facts forget.jsonl
  accepted evaluate --model out --facts forget.jsonl --eos --json
  exact=$(grep mean_nll ../stdout)
  accepted evaluate --model out --facts forget.jsonl --eos --json --products bf16
  [ "$(grep mean_nll ../stdout)" != "$exact" ] || complain "evaluate: --products bf16 changes nothing"
  accepted audit --before model --after out --forget forget.jsonl --json audit.json
  has audit.json d_plus_sum d_minus_sum top sites layer module cumulative
  accepted audit --before out --after model --forget forget.jsonl --json back.json
  # Forgetting takes positive influence on P away, and brings negative influence on log P, which is larger; the way back does the opposite.
  echo "$(influence audit.json) $(influence back.json)" | awk '{ exit !(NF == 8 && $1 > 2 * $2 && $4 > 2 * $3 && $6 > 2 * $5 && $7 > 2 * $8 && $4 > $1) }' ||
    complain "D+ and D- of P and of log P: $(influence audit.json), back $(influence back.json)"
  accepted audit --before model --after model --forget forget.jsonl --json same.json
  [ "$(grep -c '_sum": 0.0,' same.json)" -eq 4 ] || complain "same.json: a model differs from itself"
  accepted attack --model out --forget forget.jsonl --fraction 0.3 --lr 1e-3 5e-4 --seeds 2 --epochs 3 --json attack.json
  has attack.json kind fraction runs seed learning_rate recovery retrained curve recovery_mean
  [ "$(grep -c '"recovery":' attack.json)" -ge 2 ] || complain "attack.json: expected a run a seed"
  accepted attack --model out --forget forget.jsonl --train retain.jsonl --lr 1e-3 --seeds 2 --epochs 3 --json benign.json
  has benign.json kind before runs seed learning_rate recovery retrained curve recovery_mean
  grep -q '"kind": "benign"' benign.json && grep -q 'lives.Hal' benign.json || complain "benign.json: $(cat benign.json)"
  accepted attack --model model --forget forget.jsonl --train retain.jsonl --lr 1e-9 --seeds 1 --epochs 1
  grep -q '^right of all forgotten facts: 100.0 % .*before: 100.0 %' ../stdout || complain "attack --train: $(cat ../stdout)"
  accepted inspect model && grep -q 'embed_tokens' ../stdout || complain "inspect names no tensor"
  grep -qF "$(grep eos_token_id model/config.json)" ../stdout || complain "inspect shows another config.json than the model's"
  accepted inspect model/model.safetensors
  accepted --help && accepted unlearn --help
}

# broken_model NAME: a copy of the model to damage.
broken_model() { mkdir -p "$1" && cp model/* "$1"; }
facts() { printf '%s\n' "$2" >"$1"; }

check_refusals() {
  weights=model.safetensors
  bytes=$(wc -c <model/$weights)
  broken_model bad_short && head -c $((bytes / 2)) model/$weights >bad_short/$weights
  broken_model bad_tiny && head -c 5 model/$weights >bad_tiny/$weights
  broken_model bad_empty && : >bad_empty/$weights
  broken_model bad_lying && printf '\377\377\377\377\377\377\377\177' | dd of=bad_lying/$weights conv=notrunc 2>/dev/null
  broken_model bad_offsets && sed 's/"data_offsets":\[0,/"data_offsets":[4,/' model/$weights >bad_offsets/$weights
  broken_model bad_longer && printf 'more' >>bad_longer/$weights
  broken_model bad_nan && printf '\377\377\377\377' | dd of=bad_nan/$weights conv=notrunc bs=1 seek=$((bytes - 4)) 2>/dev/null
  broken_model bad_shape && sed 's/"intermediate_size": 64/"intermediate_size": 68/' model/config.json >bad_shape/config.json
  broken_model bad_layers && sed 's/"num_hidden_layers": 2/"num_hidden_layers": 3/' model/config.json >bad_layers/config.json
  broken_model bad_tower && sed 's/"num_hidden_layers": 2/"num_hidden_layers": 1000000000/' model/config.json >bad_tower/config.json
  broken_model bad_fraction && sed 's/"hidden_size": 32/"hidden_size": 32.5/' model/config.json >bad_fraction/config.json
  broken_model bad_kind && sed 's/"llama"/"mamba"/' model/config.json >bad_kind/config.json
  broken_model bad_json && echo '{"model_type": ' >bad_json/config.json
  broken_model bad_words && echo '{}' >bad_words/tokenizer.json
  broken_model bad_no_weights && rm bad_no_weights/$weights
  broken_model bad_no_config && rm bad_no_config/config.json
  broken_model bad_no_tokenizer && rm bad_no_tokenizer/tokenizer.json
  printf 'GGUF\003\000\000\000' >bad_header.gguf
  printf 'no model' >bad_text.gguf
  for broken in bad_* absent; do
    refused $broken unlearn --model $broken --forget forget.jsonl --retain retain.jsonl --method gd --steps 2 --out out --log log.jsonl
    refused $broken evaluate --model $broken --facts forget.jsonl --json
    refused $broken audit --before model --after $broken --forget forget.jsonl --json out.json
    refused $broken attack --model $broken --forget forget.jsonl --json out.json
  done
  for broken in bad_short bad_tiny bad_lying bad_offsets bad_json bad_no_weights bad_header.gguf bad_text.gguf absent; do refused $broken inspect $broken; done

  : >nothing.jsonl
  echo >blank.jsonl
  echo 'no json' >text.jsonl
  facts no_answer.jsonl '{"id":"a","question":"Where lives Ada?"}'
  facts empty_answer.jsonl '{"id":"a","question":"Where lives Ada?","answer":""}'
  facts number.jsonl '{"id":"a","question":"Where lives Ada?","answer":7}'
  facts cut.jsonl '{"id":"a","question":"Where lives Ada?","answer":"Os'
  facts long.jsonl "{\"id\":\"a\",\"question\":\"$(printf '%060d' 0)\",\"answer\":\"Oslo\"}"
  { cat forget.jsonl forget.jsonl; } >twice.jsonl
  { cat retain.jsonl; head -1 forget.jsonl; } >overlap.jsonl
  printf '{"id":"a","question":"\377\376","answer":"Oslo"}\n' >bytes.jsonl
  for broken in nothing blank text no_answer empty_answer number cut long twice bytes absent; do
    refused $broken.jsonl unlearn --model model --forget $broken.jsonl --retain retain.jsonl --method gd --steps 2 --out out --log log.jsonl
    refused $broken.jsonl unlearn --model model --forget forget.jsonl --retain $broken.jsonl --method gd --steps 2 --out out --log log.jsonl
    refused $broken.jsonl evaluate --model model --facts $broken.jsonl --json
    refused $broken.jsonl audit --before model --after model --forget $broken.jsonl --json out.json
    refused $broken.jsonl attack --model model --forget $broken.jsonl --json out.json
  done
  refused overlap.jsonl unlearn --model model --forget forget.jsonl --retain overlap.jsonl --method gd --steps 2 --out out --log log.jsonl

  some="unlearn $both --log log.jsonl"
  refused --colour $some --method gd --steps 2 --colour red
  refused --method $some --method npo --steps 2
  refused --steps $some --method gd
  refused --steps $some --method gd --steps 0
  for steps in two 010 2.5; do refused --steps $some --method gd --steps $steps; done
  refused --batch $some --method gd --steps 2 --batch 0
  refused --lr $some --method gd --steps 2 --lr -1
  refused --threads $some --method gd --steps 2 --threads 0
  refused --device $some --method gd --steps 2 --device gpu
  refused --device $some --method gd --steps 2 --device cuda:x
  refused CUDA $some --method gd --steps 2 --device cuda:999
  refused --products $some --method gd --steps 2 --products half
  refused --graphs $some --method gd --steps 2 --graphs
  refused --template $some --method gd --steps 2 --template "no mark"
  refused --sites $some --method ssiuu --steps 2 --sites ffn
  refused --until-forget-accuracy $some --method gd --until-forget-accuracy 2
  refused --retain unlearn --model model --forget forget.jsonl --method gd --steps 2 --out out
  refused --out unlearn --model model --forget forget.jsonl --retain retain.jsonl --method gd --steps 2
  for option in lr lambda clip weight-decay retain-weight until-forget-accuracy; do
    for value in nan inf -1; do refused --$option $some --method ssiuu --batch 4 --steps 2 --$option $value; done
  done
  refused --batch $some --method gd --steps 2 --batch 99999999999999999999
  for seed in -1 18446744073709551616; do refused --seed $some --method gd --steps 2 --seed $seed; done
  refused --threads $some --method gd --steps 2 --threads 1000000
  refused --out unlearn --model model --forget forget.jsonl --method ga --steps 2 --out ""
  refused --measured $some --method ssiuu --steps 2 --measured p
  refused --every $some --method gd --until-forget-accuracy 0.3 --every 0
  refused overlap.jsonl unlearn --model model --forget forget.jsonl --retain overlap.jsonl --method ga --steps 2 --out out
  for diverging in "--steps 2 --lr 1e38" "--steps 1 --lr 1e38 --weight-decay 1e38"; do
    refused "lower the learning rate" unlearn $both --method gd --optimizer sgd $diverging
    "$program" $some --method gd --optimizer sgd $diverging 2>../stderr && complain "unlearn $diverging: exit status 0"
    check_log 1
    rm -f log.jsonl
    [ ! -e out ] && [ ! -e log.jsonl.partial ] || complain "unlearn $diverging: left behind"
  done
  ulimit -S -f 16  # the log fits, the weights do not
  "$program" $some --method gd --steps 2 >../stdout 2>../stderr
  [ $? -eq 2 ] && grep -q 'cannot write.*model.safetensors' ../stderr || complain "unlearn: weights that do not fit: $(cat ../stderr)"
  ulimit -S -f unlimited
  check_log 2
  rm -f log.jsonl
  [ -z "$(find . -name '*.partial')" ] && [ ! -e out ] || complain "unlearn: weights that do not fit: left behind"
  refused "reference" unlearn $both --method ssiuu --steps 2 --batch 2 --order given --reference previous --reduction example
  refused subcommand
  refused subcommand unforget
  refused model inspect

  # Weights under other names would stay beside the new ones, and be what other programs load.
  broken_model sharded && mv sharded/model.safetensors sharded/model-00001-of-00001.safetensors && echo '{}' >sharded/model.safetensors.index.json
  refused sharded unlearn --model model --forget forget.jsonl --method ga --steps 2 --out sharded
  broken_model other_words && echo '{}' >other_words/added_tokens.json
  refused other_words unlearn --model model --forget forget.jsonl --method ga --steps 2 --out other_words
  broken_model one_layer && sed 's/"num_hidden_layers": 2/"num_hidden_layers": 1/' model/config.json >one_layer/config.json
  refused one_layer audit --before model --after one_layer --forget forget.jsonl
  broken_model other_base && sed 's/"rope_theta": 10000/"rope_theta": 500/' model/config.json >other_base/config.json
  refused other_base audit --before model --after other_base --forget forget.jsonl
  broken_model other_merges && sed 's/"Ġ l",//; s/\["Ġ", *"l"\],//' model/tokenizer.json >other_merges/tokenizer.json
  refused other_merges audit --before model --after other_merges --forget forget.jsonl
  sed 's/"id":"[^"]*"/"id":"again"/; s/"false_answers":\["[^"]*"/"false_answers":["Paris"/' forget.jsonl | head -1 | cat forget.jsonl - >same_text.jsonl
  refused same_text.jsonl attack --model model --forget same_text.jsonl
  head -1 forget.jsonl | sed 's/"id":"[^"]*"/"id":"again"/' | cat forget.jsonl - >twins.jsonl
  refused twins.jsonl attack --model model --forget twins.jsonl
  for fraction in 0 1 nan; do refused --fraction attack --model model --forget forget.jsonl --fraction $fraction; done
  refused overlap.jsonl attack --model model --forget forget.jsonl --train overlap.jsonl
  refused --fraction attack --model model --forget forget.jsonl --train retain.jsonl --fraction 0.3
  refused retain.jsonl attack --model model --forget forget.jsonl --train retain.jsonl --json retain.jsonl
  facts unknown.jsonl '{"id":"a","question":"Where lives Ada?","answer":"Bo"}'
  facts long_paraphrase.jsonl "{\"id\":\"a\",\"question\":\"Where lives Ada?\",\"answer\":\"Oslo\",\"paraphrases\":[\"$(printf '%060d' 0)\"]}"
  refused "long_paraphrase.jsonl: fact 'a'" evaluate --model model --facts long_paraphrase.jsonl
  refused known.jsonl evaluate --model model --facts unknown.jsonl --known known.jsonl
  grep -q generation_accuracy ../stdout || complain "evaluate --known: no evaluation where no fact is known"
  refused nowhere/known.jsonl evaluate --model model --facts forget.jsonl --known nowhere/known.jsonl
  [ ! -s ../stdout ] || complain "evaluate --known: refused after the work"
  cp bad_header.gguf bad_header && refused bad_header inspect bad_header
  grep -q 'header of' ../stderr && complain "inspect: a GGUF file of another name is read as safetensors"
  "$program" evaluate --model model --facts forget.jsonl >/dev/full 2>../stderr && complain "evaluate: standard output could not be written, exit status 0"

  printf 'text' >a_file
  mkdir a_folder with_folder with_folder/config.json
  printf '{}' >model/vocab.json && mkdir -p with_vocab/vocab.json
  ln -s nowhere a_link
  base="unlearn --model model --forget forget.jsonl --method ga --steps 2"
  refused a_file $base --out a_file
  refused a_file $base --out a_file/
  refused a_file $base --out a_file/out
  refused with_folder $base --out with_folder
  refused with_vocab $base --out with_vocab
  rm model/vocab.json
  refused a_link $base --out a_link
  refused a_link $base --out a_link/
  refused /dev/null/out $base --out /dev/null/out
  refused a_file/log.jsonl $base --out out --log a_file/log.jsonl
  refused a_folder $base --out out --log a_folder
  refused /dev/null $base --out out --log /dev/null
  for input in forget.jsonl model/config.json model/model.safetensors; do refused $input $base --out out --log $input; done
  refused forget.jsonl audit --before model --after model --forget forget.jsonl --json forget.jsonl
  refused model/config.json evaluate --model model --facts forget.jsonl --known model/config.json
  refused forget.jsonl evaluate --model model --facts forget.jsonl --known forget.jsonl
  refused model/config.json attack --model model --forget forget.jsonl --json model/config.json
  "$program" $base --out out --lambda 1 --log log.jsonl >../stdout 2>&- || complain "unlearn: refused where standard error is closed"
  grep -q 'has no effect' log.jsonl && complain "unlearn: messages in the log where standard error is closed"
  rm -rf out log.jsonl
  for json in a_file/out.json a_folder; do
    refused $json audit --before model --after model --forget forget.jsonl --json $json
    refused $json attack --model model --forget forget.jsonl --epochs 1 --seeds 1 --json $json
  done
}

case $part in
  unlearn | reports | refusals) check_$part ;;
  *) complain "no part '$part'" ;;
esac
[ $failures -eq 0 ] || { echo "$failures failures" >&2; exit 1; }
