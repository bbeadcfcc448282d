"""What is in the way of a plan, told before anything is done."""

from modelhub.errors import DoesNotFit, RuntimeNotFound, RuntimeNotInstalled, StoreFull
from modelhub.facts import Plan
from modelhub.facts.base import human_bytes


def check_room(plan: Plan) -> None:
    """Refuse a plan for which the store's disk has no room, before anything is fetched.

    Raises:
        StoreFull: with the arithmetic.
    """
    if plan.fetch_bytes and plan.disk_free is not None and plan.disk_needed > plan.disk_free:
        raise StoreFull(
            f"{plan.repo}:{plan.variant} needs {human_bytes(plan.disk_needed)} of disk, "
            f"{human_bytes(plan.disk_free)} are free, "
            f"{human_bytes(plan.disk_needed - plan.disk_free)} are missing",
            hint="Free some space, take a smaller variant, or name a store on a larger disk.",
            need=plan.disk_needed,
            free=plan.disk_free,
        )


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
