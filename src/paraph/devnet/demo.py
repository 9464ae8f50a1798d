"""The demo: a real question to a real model, paid, settled, and verified with the network stopped.

`make demo` runs it on one solo full node, `make testnet` on four validators. Whatever it prints as verified was
verified by the same code as `paraph verify`.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from paraph.core.amount import Wei, format_opg
from paraph.core.errors import ParaphError
from paraph.core.ident import Address
from paraph.core.keys import checksummed
from paraph.devnet.exact_models import digit
from paraph.devnet.models import patient
from paraph.devnet.network import Devnet
from paraph.devnet.shape import SOLO, Shape
from paraph.ledger.rooms.accounts.keys import STAKERS, TREASURY
from paraph.proofs.bundle import decode_bundle
from paraph.proofs.check import judge
from paraph.proofs.policy import decode_trust
from paraph.proofs.quotes.claims import TrustClass
from paraph.proofs.verdict import render
from paraph.sdk.answer import Answer
from paraph.sdk.client import Client

OUT: Final = Path("build/demo")
SHADES: Final = " .:-=+*#%@"
QUESTION: Final = "In two sentences: why should anyone be able to check which model wrote an answer?"
ENCLAVED: Final = "In one sentence: what is an enclave?"
DIGIT: Final = 1_700
"""Of 1797 images; the classifier was trained on the first 1437."""
ANSWERS: Final = ("chat.json", "infer.json", "tee.json", "zk.json")
LEAST: Final = (TrustClass.HARDWARE, TrustClass.HARDWARE, TrustClass.SIMULATED, TrustClass.HARDWARE)
"""What each is checked for: an enclave that is simulated must be asked for by name."""


def main(shape: Shape = SOLO, out: Path = OUT) -> int:
    """Run the demo on a network of that shape, made in `out`. Returns 0 when everything verified, 1 otherwise."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out / "devnet", ignore_errors=True)
    devnet = Devnet((out / "devnet").resolve())
    try:
        devnet.up(lambda step: _say(f"· {step}"), shape)
        buy(devnet, out)
    except ParaphError as error:
        _say(f"the demo failed: {error}")
        return 1
    finally:
        devnet.down()
    _say("\n· the network is stopped: from here on there are only files\n")
    verified = [_verify(out / name, out / "trust.json", least) for name, least in zip(ANSWERS, LEAST, strict=True)]
    _say(f"\n{time.monotonic() - began:.0f} s. Check again any time, anywhere:")
    _say(f"  paraph verify {out}/chat.json --trust {out}/trust.json")
    _say(f"  paraph verify {out}/tee.json --trust {out}/trust.json --min-trust simulated")
    _say(f"  paraph verify {out}/zk.json --trust {out}/trust.json")
    return 0 if all(verified) else 1


def buy(devnet: Devnet, out: Path) -> None:
    """Buy four answers and show who was paid; leave them, settled, in `out` with the trust file to check them by."""
    shutil.copyfile(devnet.trust_file, out / "trust.json")
    with Client.open(devnet.network_file, devnet.key("user")) as client:
        people = {
            "model owner": devnet.key("developer").address,
            "node operator": devnet.key("operator").address,
            "enclave's operator": devnet.key("enclave-operator").address,
            "stakers' pool": STAKERS,
            "treasury": TREASURY,
        }
        before = {name: client.balance(account) for name, account in people.items()}
        escrow = client.escrow().available

        _say(f"\n» {QUESTION}\n")
        stream = client.chat_stream("smollm2-135m-instruct", QUESTION, max_tokens=80, temperature=0)
        for piece in stream:
            sys.stdout.write(piece)
            sys.stdout.flush()
        chat = stream.answer
        _say(f"\n\n· verified; price {format_opg(chat.price)} OPG")

        measurements, found = patient(19)
        decision = client.infer("breast-cancer", {"measurements": [[*measurements]]})
        diagnosis = ("malignant", "benign")[decision.outputs["diagnosis"][0]]
        sure = max(decision.outputs["probabilities"])
        _say(
            f"· the classifier says {diagnosis} ({sure:.1%} sure; the record says {found}); verified; "
            f"price {format_opg(decision.price)} OPG"
        )

        _say(f"\n» {ENCLAVED} (asked of an enclave; it is SIMULATED, no hardware stands behind it)\n")
        sealed = client.chat_stream(
            "smollm2-135m-instruct", ENCLAVED, max_tokens=60, temperature=0, layer="tee", min_trust="simulated"
        )
        for piece in sealed:
            sys.stdout.write(piece)
            sys.stdout.flush()
        enclaved = sealed.answer
        _say(f"\n\n· verified, by an enclave that is SIMULATED; price {format_opg(enclaved.price)} OPG")

        _say("· waiting for the settlement")
        answers = [client.settled(answer) for answer in (chat, decision, enclaved)]
        answers.append(_proven(client))
        for answer, name in zip(answers, ANSWERS, strict=True):
            answer.save(out / name)
        _paid(client, people, before, escrow, answers)


def _proven(client: Client) -> Answer:
    """Ask the exact digits classifier about an image, and wait for the proof."""
    shades, shown = digit(DIGIT)
    _say("\n» which digit is this? (asked of an exact model; the answer is to be proven)\n")
    for row in range(0, 64, 8):
        _say("    " + "".join(2 * SHADES[int(shade) * (len(SHADES) - 1) // 16] for shade in shades[row : row + 8]))
    card = client.card("digits")
    began = time.monotonic()
    answer = client.infer("digits", {"input": card.to_int8(np.array([shades]))}, layer="zkml")
    said = card.answer(answer.outputs["output"])
    _say(f"\n· it says {said} (the record says {shown}); verified; its proof is promised")
    answer = client.proof(client.settled(answer))
    took_s = time.monotonic() - began
    _say(f"· proven (hiding, unaudited), and the proof is on the ledger {took_s:.1f} s after the question")
    return answer


def _paid(
    client: Client, people: dict[str, Address], before: dict[str, Wei], escrow: int, answers: Sequence[Answer]
) -> None:
    _say("\nwho was paid")
    total = 0
    for name, account in people.items():
        gained = client.balance(account) - before[name]
        total += gained
        _say(f"  {name:18} {checksummed(account)}  {format_opg(gained):>14} OPG")
    spent = escrow - client.escrow().available
    price = sum(answer.price for answer in answers)
    _say(f"  {'the payer paid':61}  {format_opg(spent):>14} OPG of escrow ({format_opg(price)} for the answers)")
    _say(f"  (the treasury also receives base fees of transactions: {format_opg(total - spent)} OPG)")


def _verify(file: Path, trust: Path, least: TrustClass) -> bool:
    verdict = judge(decode_bundle(file.read_bytes()), decode_trust(trust.read_bytes()), least)
    result, *lines = render(verdict)
    _say(f"{file}: {result}")
    for line in lines:
        _say(line)
    return verdict.verified


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m paraph.devnet.demo", description=__doc__)
    parser.add_argument("--validators", type=int, default=0, help="how many agree on blocks; 0: one solo full node")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the network and the answers")
    options = parser.parse_args()
    sys.exit(main(Shape(options.validators), options.out))
