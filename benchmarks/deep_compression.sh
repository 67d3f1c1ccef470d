#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Deep Compression (Han, Mao, Dally, ICLR 2016) by the command line: prune, fine-tune, share weights by k-means, train the
# codebooks, pack, verify. Usage: deep_compression.sh [FOLDER for the files]; the folder of the Fashion-MNIST files comes
# from FASHION_MNIST, the program from BITWRIGHT_CLI. Prints size and accuracy beside the float network's.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
cli=${BITWRIGHT_CLI:-$here/build/bin/bitwright-cli}
images=${FASHION_MNIST:-/usr/share/datasets/fashion-mnist}
model=${MODEL:-$here/sample_models/vgg_small.pt2}
out=${1:-$(mktemp -d)}
train="idx:$images,split=train"
test="idx:$images,split=test"
mkdir -p "$out"

"$cli" prune "$model" --method magnitude --sparsity "${SPARSITY:-0.88}" --scope global -o "$out/pruned.json" --quiet
"$cli" finetune "$model" --data "$train" --eval-data "$test" --config "$out/pruned.json" --epochs "${EPOCHS:-3}" --lr 0.01 --seed "${SEED:-0}" \
    --recipe distill -o "$out/pruned.pt2" --config-out "$out/pruned2.json"

# 16 shared values for each layer, the masks as they are
python3 - "$out/pruned2.json" "$out/shared.json" "${BITS:-4}" <<'PY'
import json, sys
config = json.load(open(sys.argv[1]))
config.setdefault("defaults", {})["weight"] = {"method": "kmeans", "bits": int(sys.argv[3])}
json.dump(config, open(sys.argv[2], "w"))
PY
"$cli" finetune "$out/pruned.pt2" --data "$train,limit=20000" --eval-data "$test" --config "$out/shared.json" --epochs 1 --optimizer adam \
    --lr "${CODEBOOK_LR:-0.0003}" --seed "${SEED:-0}" --recipe distill --teacher "$model" -o "$out/shared.pt2" --config-out "$out/shared2.json"

"$cli" export "$out/shared.pt2" --config "$out/shared2.json" --format pack -o "$out/model.pack" --quiet
"$cli" verify "$out/model.pack" --against "$out/shared.pt2" --config "$out/shared2.json" --data "$test,limit=1000" --quiet
"$cli" evaluate "$model" --data "$test" --json --quiet > "$out/float_result.json"
"$cli" evaluate "$out/shared.pt2" --config "$out/shared2.json" --data "$test" --json --quiet > "$out/packed_result.json"
python3 - "$out" <<'PY'
import json, os, sys
out = sys.argv[1]
before, after = (json.load(open(f"{out}/{name}_result.json")) for name in ("float", "packed"))
size = os.path.getsize(f"{out}/model.pack")
print(f"float32 {before['float_size_bytes']} bytes, top-1 {before['value']:.4f}")
print(f"packed  {size} bytes, top-1 {after['value']:.4f}: {before['float_size_bytes'] / size:.1f} times smaller, "
      f"{100 * (before['value'] - after['value']):.2f} points lost on {after['samples']} images")
PY
