"""The transducer's loss, computed for whole rows at once (NeMo's loss on the CPU is a loop in Python)."""

from __future__ import annotations

import torch

NOTHING = -1e4


def transducer_loss(
    logits: torch.Tensor, targets: torch.Tensor, frames: torch.Tensor, tokens: torch.Tensor, blank: int
) -> torch.Tensor:
    """The mean negative log-likelihood for each token.

    `logits` [B, T, U + 1, V], `targets` [B, U]; `frames` and `tokens` say how much of T and U counts.
    Source: Graves 2012, section 2.4. Within one frame the recursion over u is a running sum, so that
    alpha[t, u] = S[u] + logcumsumexp(alpha[t - 1, u] + blank[t - 1, u] - S[u]), S the sum of emissions.
    """
    logp = logits.log_softmax(-1)
    stay = logp[..., blank]
    emit = logp[:, :, :-1].gather(3, targets[:, None, :, None].expand(-1, logp.size(1), -1, 1)).squeeze(3)
    beyond = torch.arange(targets.size(1), device=targets.device)[None] >= tokens[:, None]
    emit = emit.masked_fill(beyond[:, None], NOTHING)
    sums = torch.nn.functional.pad(emit.cumsum(2), (1, 0))
    alpha = sums[:, 0]
    rows = [alpha]
    for t in range(1, logits.size(1)):
        arrived = alpha + stay[:, t - 1]
        alpha = sums[:, t] + torch.logcumsumexp(arrived - sums[:, t], 1)
        rows.append(alpha)
    table = torch.stack(rows, 1)
    batch = torch.arange(logits.size(0))
    total = table[batch, frames - 1, tokens] + stay[batch, frames - 1, tokens]
    return -(total / tokens.clamp(min=1)).mean()


def path_loss(
    logits: torch.Tensor, targets: torch.Tensor, ends: torch.Tensor, frames: torch.Tensor, blank: int
) -> torch.Tensor:
    """Cross-entropy along the one path that says each token at its known end frame.

    `ends` [B, U]: the frame of each token, ascending; tokens that do not count have the frame T.
    """
    size, length = logits.size(0), logits.size(1)
    time = torch.arange(length)
    said_before = (ends[:, None, :] < time[None, :, None]).sum(2)
    rows = torch.arange(size)[:, None].expand(-1, length)
    before = logits[rows, time[None].expand(size, -1), said_before]
    now = (ends[:, None, :] == time[None, :, None]).sum(2)
    token = targets.gather(1, said_before.clamp(max=targets.size(1) - 1))
    wanted = torch.where(now > 0, token, torch.full_like(token, blank))
    counts = time[None] < frames[:, None]
    weight = torch.where(now > 0, 1.0, 0.3) * counts
    first = torch.nn.functional.cross_entropy(before.flatten(0, 1), wanted.flatten(), reduction="none")
    after = logits[rows, time[None].expand(size, -1), (said_before + now).clamp(max=logits.size(2) - 1)]
    silent = torch.full_like(wanted, blank)
    second = torch.nn.functional.cross_entropy(after.flatten(0, 1), silent.flatten(), reduction="none")
    weight, then = weight.flatten(), ((now > 0) * counts).flatten()
    return (first * weight).sum() / weight.sum() + 0.5 * (second * then).sum() / then.sum().clamp(min=1)
