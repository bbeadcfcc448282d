"""Ties the rooms of one Hub together."""

from contextlib import ExitStack, closing
from typing import NamedTuple

from modelhub.hub.adopting import CacheAdopter
from modelhub.hub.answering import Answering
from modelhub.hub.calls import Calls
from modelhub.hub.checking import Checker
from modelhub.hub.code import CodeGate
from modelhub.hub.collecting import Collector
from modelhub.hub.exporting import CacheExporter
from modelhub.hub.fetching import Fetching
from modelhub.hub.how import Shown
from modelhub.hub.licenses import LicenseGate
from modelhub.hub.loading import Loading
from modelhub.hub.moving import Mover
from modelhub.hub.opening import open_sources, open_store
from modelhub.hub.pickles import PickleGate
from modelhub.hub.planning import Planning
from modelhub.hub.pulling import Puller
from modelhub.hub.purging import Purger
from modelhub.hub.quota import Quota
from modelhub.hub.recipe_book import RecipeBook
from modelhub.hub.recipes import Recipes
from modelhub.hub.recorder import Recorder
from modelhub.hub.repairing import Repairer
from modelhub.hub.resolve import Resolver
from modelhub.hub.scrubbing import Scrubber
from modelhub.hub.serving import Serving
from modelhub.hub.storekeeping import StoreKeeping
from modelhub.hub.submitted import Verbs
from modelhub.hub.using import Accountant
from modelhub.hub.verify import Verifier
from modelhub.jobs import Fetcher, Holds, Jobs, Syncer
from modelhub.registry import InstanceBook, Registry
from modelhub.runtimes import Instances, Runtimes
from modelhub.runtimes.hosts import Hosts
from modelhub.runtimes.processes import is_gone
from modelhub.settings import Settings


class Rooms(NamedTuple):
    """What a Hub's methods ask."""

    registry: Registry
    jobs: Jobs
    resolver: Resolver
    serving: Serving
    code: CodeGate
    verifier: Verifier
    answering: Answering
    purger: Purger
    recipes: Recipes
    storekeeping: StoreKeeping
    adopter: CacheAdopter
    exporter: CacheExporter


def wire(settings: Settings, calls: Calls, undo: ExitStack, progress: Shown) -> Rooms:
    """The rooms as `settings` say; `undo` closes them, the last one first. `progress` is how long work shows.

    Raises:
        DatabaseUnavailable, SchemaMismatch, StoreUnavailable, InvalidInput
    """
    registry = undo.enter_context(closing(Registry.open(settings.database)))
    ledger, store = open_store(registry, settings)
    undo.callback(store.close)
    sources = undo.enter_context(closing(open_sources(settings)))
    recorder = undo.enter_context(closing(Recorder(registry)))
    book = InstanceBook(registry, is_gone, ledger.key)
    book.reap()
    instances = undo.enter_context(closing(Instances(book)))
    jobs = Jobs(registry, place=f"{ledger.key.uri} {ledger.key.host}".strip(), threads=settings.workers)
    recipes = RecipeBook(settings.recipes)
    syncer = Syncer(registry, store, recipes=recipes.current)
    resolver = Resolver(registry, jobs, syncer, sources, settings.offline)
    holds = Holds(registry, ledger.key)
    fetcher = Fetcher(registry, store, ledger.key)
    fetching = Fetching(resolver, jobs, fetcher, store)
    repairer = Repairer(registry, fetching, store, ledger.key, holds)
    puller = Puller(resolver, fetching, fetcher, repairer, holds, settings.verify)
    licenses = LicenseGate(settings.license_policy)
    code = CodeGate(registry, puller, licenses)
    hosts = Hosts(settings.host, settings.python)
    runtimes = Runtimes(host=settings.host, python=settings.python)
    pickles = PickleGate(store)
    planning = Planning(resolver, store, code, licenses, runtimes, instances, pickles)
    quota = Quota(registry, store, ledger.key, settings.store_quota)
    loading = Loading(resolver, puller, code, licenses, runtimes, instances, hosts, quota, pickles)
    serving = Serving(planning, loading, code, instances)
    answering = undo.enter_context(closing(Answering(calls, resolver, serving, recorder)))
    verifier = Verifier(resolver, store)
    purger = Purger(registry, jobs, resolver, serving, store, ledger.key, book, holds)
    scrubber = Scrubber(store, repairer)
    collector = Collector(registry, jobs, store, ledger.key, book, holds)
    accountant = Accountant(registry, resolver, store, ledger.key, settings.store_quota)
    checker = Checker(registry, store, ledger, ledger.key, holds)
    mover = Mover(registry, store, ledger, holds, settings)
    jobs.add(
        *Verbs(resolver, planning, loading, verifier, purger).handlers(),
        scrubber.handler(),
        collector.handler(),
    )
    undo.callback(jobs.close)
    return Rooms(
        registry,
        jobs,
        resolver,
        serving,
        code,
        verifier,
        answering,
        purger,
        Recipes(recipes, resolver, store, calls, repairer),
        StoreKeeping(store, jobs, calls, collector, accountant, checker, mover, progress),
        CacheAdopter(registry, resolver, store),
        CacheExporter(store),
    )
