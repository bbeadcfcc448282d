"""What is in the way of a plan, told before anything is done."""

from modelhub.errors import DoesNotFit, RuntimeNotFound, RuntimeNotInstalled
from modelhub.facts import Plan
from modelhub.facts.base import human_bytes
from modelhub.facts.plan import to_fetch
from modelhub.store import Store


def check_room(plan: Plan, store: Store) -> None:
    """Refuse a plan for which the store's disk has no room, before anything is fetched.

    What is there of an interrupted download needs none again, and what others are receiving has its own.

    Raises:
        StoreFull: with the arithmetic.
    """
    if plan.fetch_bytes:
        sizes = {file.sha256 or f"{file.repo}/{file.path}": file.size for file in to_fetch(plan.files)}
        copies = plan.disk_needed - sum(sizes.values())
        store.require_room({**sizes, "copies in the folder": copies}, f"{plan.repo}:{plan.variant}")


def check_runnable(plan: Plan) -> None:
    """Refuse a plan that cannot be carried out, saying what is in the way.

    Raises:
        RuntimeNotInstalled, RuntimeNotFound, DoesNotFit
    """
    if plan.runtime is None:
        why = "; ".join(plan.why) or "no runtime is known for it"
        install = plan.steps[0] if plan.steps and "pip install" in plan.steps[0] else ""
        if install:
            raise RuntimeNotInstalled(
                f"{plan.repo}:{plan.variant} cannot run here: {why}",
                hint=f"Run: {install}",
                install=install,
            )
        ways = "".join(f"{step[:1].upper()}{step[1:]}. " for step in plan.steps)
        raise RuntimeNotFound(
            f"nothing here can run {plan.repo}:{plan.variant}: {why}",
            hint=f"{ways}`modelhub doctor` shows the runtimes and what they need.",
        )
    if not plan.fits:
        raise DoesNotFit(
            f"{plan.repo}:{plan.variant} needs {human_bytes(plan.memory)}, and {plan.device} has "
            f"{human_bytes(plan.memory_free)} free ({plan.need})",
            hint="Take a smaller variant or a shorter context (options={'n_ctx': …}).",
            needed=plan.memory,
            free=plan.memory_free,
        )
