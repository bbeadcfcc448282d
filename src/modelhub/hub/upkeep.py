"""What a Hub does with what it has: prove it, let its code run, forget it, delete it."""

import os
from pathlib import Path

from modelhub.facts import Adoption, CodeApproval, Export, Forgotten, Removal, RepoRecord, Verification
from modelhub.hub.adopting import CacheAdopter
from modelhub.hub.calls import Calls
from modelhub.hub.code import CodeGate
from modelhub.hub.exporting import CacheExporter, check_exportable, folder_of, refs_of
from modelhub.hub.how import Model, Shown
from modelhub.hub.purging import Purger
from modelhub.hub.resolve import Resolver
from modelhub.hub.serving import Serving
from modelhub.hub.verify import Verifier
from modelhub.planner import Wish
from modelhub.progress import Reporter, reporter
from modelhub.refs import ModelRef
from modelhub.settings import Settings
from modelhub.store import AdoptMode


class Upkeep:
    """The part of `Hub` that looks after what is here."""

    _calls: Calls
    _resolver: Resolver
    _serving: Serving
    _code: CodeGate
    _verifier: Verifier
    _purger: Purger
    _adopter: CacheAdopter
    _exporter: CacheExporter
    settings: Settings
    _progress: Shown

    def _shown(self, progress: Shown) -> Reporter:
        return reporter(self._progress if progress is None else progress)

    def verify(
        self,
        model: Model,
        *,
        variant: str | None = None,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Verification:
        """Hash again what is here of a repository: all of it, or one variant. Opens no socket.

        What holds other bytes than it should is put aside; the next `pull` fetches it anew.

        Raises:
            RepositoryNotFound, RevisionNotFound: for what is not known here.
            StoreUnavailable: for a file that cannot be read.
        """
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            return self._verifier.verify(ModelRef.parse(model), variant, call, show)

    def adopt_hf_cache(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        mode: AdoptMode = "auto",
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Adoption:
        """Take what huggingface_hub has fetched into the store. Opens no socket; the cache stays as it is.

        `path` is its folder (the setting `hf_cache` by default), `mode` as for `Store.adopt`. Every file
        is hashed, and taken only if it is what the synced commit says, or, of one that is not known here,
        what the cache itself says. Repositories that are not known are registered: sync them next, since
        what no repository lists is garbage after an hour (`hub.store.gc`). What is damaged, empty or a link
        out of the cache is in `rejected`, with the reason.

        Raises:
            InvalidInput: there is no such folder, or no such mode.
            StoreFull, StoreUnavailable: it cannot be stored, or not so. What was adopted stays.
            Cancelled, DeadlineExceeded
        """
        folder = self.settings.hf_cache if path is None else Path(path).expanduser()
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            return self._adopter.adopt(folder, mode, call, show)

    def export_hf_cache(
        self,
        model: Model,
        path: str | os.PathLike[str],
        *,
        variant: str | None = None,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Export:
        """Put a model into a cache of huggingface_hub at `path`, for programs that read only that.

        Fetches what is missing, as `pull`, and verifies all. Weights become hard links where they can, and
        take no room on the store's disk then; they are read-only. Whoever names no revision
        finds the default branch (`refs/main`), when it is that.

        Raises:
            InvalidInput: for a model that is not of Hugging Face.
            StoreFull, StoreUnavailable: `path` cannot be written.
            LicenseRefused, IntegrityError: as `pull`.
        """
        ref, folder = ModelRef.parse(model), folder_of(path)
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            target = self._resolver.resolve(ref, call, show)
            check_exportable(target)
            wish = Wish(None, target.tags, variant)
            plan = self._serving.planning.plan(target, wish, None, {}, whole=True)
            pulled = self._serving.loading.pull(target, plan, call, show)
            refs = refs_of(target, ref.revision)
            return self._exporter.export(target, pulled, refs, folder, call, show)

    def allow_code(
        self, model: Model, *, timeout: float | None = None, progress: Shown = None
    ) -> CodeApproval:
        """Allow the Python code that a repository asks to have run, at its present commit.

        Fetches that code, so that it can be read; another commit, or other bytes, are not allowed with
        it. It runs in a process of its own, whatever the Hub's host.

        Raises:
            InvalidInput: when the repository asks to run none.
            LicenseRefused: when the Hub's `license_policy` refuses all of its variants.
        """
        ref = ModelRef.parse(model)
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            return self._code.allow(self._resolver.resolve(ref, call, show), call, show)

    def revoke_code(self, model: Model) -> bool:
        """Allow no code of a repository's present commit any more; whether any was allowed. Asks nobody.

        What runs of it in this Hub ends, and calls under way with it; Hubs of other processes refuse
        the next call.

        Raises:
            RepositoryNotFound, RevisionNotFound: for what is not known here.
        """
        with self._calls.serve():
            return self._serving.revoke_code(self._resolver.known(ModelRef.parse(model)))

    def pin(self, model: Model) -> RepoRecord:
        """Never evict a repository's files to make room for others; see `store_quota`. Asks nobody.

        Raises:
            RepositoryNotFound: for what is not known here.
        """
        with self._calls.serve():
            return self._resolver.pin(ModelRef.parse(model), True)

    def unpin(self, model: Model) -> RepoRecord:
        """Take `pin` back.

        Raises:
            RepositoryNotFound: for what is not known here.
        """
        with self._calls.serve():
            return self._resolver.pin(ModelRef.parse(model), False)

    def forget(self, model: Model) -> Forgotten:
        """Take a repository out of every list; what the store has of it stays. Asks nobody.

        It is not found any more, until it is registered again: by `register` or `sync`, or by a call, if
        this Hub is online. Then it is back, with its commits and its files. A model that is loaded stays
        loaded.

        Raises:
            RepositoryNotFound: for what is not known here.
            InvalidInput: for a reference with a revision or a tag.
        """
        with self._calls.serve():
            return self._purger.forget(ModelRef.parse(model))

    def purge(
        self,
        model: Model,
        *,
        dry_run: bool = False,
        timeout: float | None = None,
        progress: Shown = None,
    ) -> Removal:
        """Delete a repository, also a forgotten one: its rows, its snapshots, and the bytes that no other
        repository has. Asks nobody; `dry_run` only says what would go and what would stay.

        Raises:
            InUse: when a loaded model or a running job holds it; nothing was removed.
            RepositoryNotFound: for what is not known here.
            InvalidInput: for a reference with a revision or a tag.
            StoreUnavailable: when a file cannot be deleted. The rows are gone by then; the next purge, of
                whatever repository, deletes the rest.
        """
        ref = ModelRef.parse(model)
        with self._calls.serve(timeout) as call, self._shown(progress) as show:
            return self._purger.survey(ref) if dry_run else self._purger.purge(ref, call, show)
