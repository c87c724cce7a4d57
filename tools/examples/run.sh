#!/usr/bin/env bash
# From data to a table: exports an example, checks it, trains it, estimates every instance's influence, retrains without some
# and compares the two.
#   tools/examples/run.sh vae|dcgan|wgan_gp|ddpm|classifier OUT digits|DATA [options of the example's Python file]
# digits: scikit-learn's 1,797 digits of 8 x 8, which need no network; DATA as for whence train, e.g. mnist:DIR (28 x 28). From
# the environment: WHENCE (build/bin/whence), PYTHON (/usr/bin/python3),
# INSTANCES (1000), EPOCHS (5), BACK (1), TARGETS (40), BATCH (50), SEED (0), RANKS (1), DTYPE (float32).
set -euo pipefail
[ $# -ge 3 ] || { sed -n '4,7s/^# *//p' "$0" >&2; exit 2; }
example=$1 out=$2 data=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
whence=${WHENCE:-$here/../../build/bin/whence} back=${BACK:-1}
start=()
[ "${RANKS:-1}" = 1 ] || start=(mpirun -n "$RANKS")
case $example in
  vae) rates=0.001 pixels=zero-to-one metric=loss ;;
  dcgan) rates=0.05,0.02 pixels=minus-one-to-one metric=disc-loss ;;
  wgan_gp) rates=0.002,0.005 pixels=minus-one-to-one metric=critic-loss ;;
  ddpm) rates=0.05 pixels=minus-one-to-one metric=loss ;;
  classifier) rates=0.05 pixels=zero-to-one metric=loss,accuracy-margin ;;
  *) echo "run.sh: there is no example '$example'" >&2; exit 2 ;;
esac

mkdir -p "$out"
python=${PYTHON:-/usr/bin/python3}
if [ "$data" = digits ]; then
  "$python" "$here/../pack.py" --digits --overwrite -o "$out/digits.h5"
  data=hdf5:$out/digits.h5
  set -- --side 8 "$@"
fi
"$python" "$here/$example.py" "$out/model.pt" "$@"
"$whence" check "$out/model.pt" --data "$data" --pixels $pixels
"${start[@]}" "$whence" train --game "script:$out/model.pt" --data "$data" --pixels $pixels --rates $rates \
  --instances "${INSTANCES:-1000}" --held-out "${HELD_OUT:-200}" --epochs "${EPOCHS:-5}" --batch "${BATCH:-50}" \
  --seed "${SEED:-0}" --dtype "${DTYPE:-float32}" --out "$out/run" --quiet
"${start[@]}" "$whence" influence --run "$out/run" --metric $metric --epochs-back "$back" --quiet
"${start[@]}" "$whence" counterfactual --run "$out/run" --metric $metric --epochs-back "$back" \
  --targets "${TARGETS:-40}" --quiet
"$whence" validate --run "$out/run"
