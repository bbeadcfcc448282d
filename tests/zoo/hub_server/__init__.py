"""A local server that speaks the Hugging Face hub protocol, from folders on disk.

Real clients (``huggingface_hub``, ``transformers``, modelhub itself) are pointed at
``server.endpoint``. Only the standard library is needed to run it, so the demo works without any
extra. Every request is counted, the weights can be moved to a second origin as a CDN does, and
faults can be set per path::

    with HubServer({"zoo/tiny-chat-GGUF": folder}) as server:
        server.faults["tiny.gguf"] = Fault(truncate=1000, times=1)
        HfApi(endpoint=server.endpoint).model_info("zoo/tiny-chat-GGUF")

The protocol is that of huggingface_hub 2.4; models only (no datasets, spaces, uploads or Xet).
"""

from .faults import Fault
from .server import HubServer
from .state import RequestRecord

__all__ = ["Fault", "HubServer", "RequestRecord"]
