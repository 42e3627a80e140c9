"""Stream speech from a job process, which LiveKit's own executor starts: what a LiveKit worker does for each job.

The agent joins no room, and only uses its speech-to-text; the room and the token are made up.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from argparse import Namespace
from typing import Any

from livekit_python import parser, recognizer, stream
from talk import Outcome, activate_routes, run

if "--shim" in sys.argv:
    # An agent imports it in the first line of its file, which the job process imports as well.
    import rtstt_shim  # noqa: F401

LIBRARY = "livekit-plugins-openai"


async def entrypoint(context: Any) -> None:
    """Stream speech in the job process, and send the result to the parent."""
    args, connection = context.proc.user_arguments
    activate_routes()
    outcome = Outcome(LIBRARY)
    try:
        await stream(recognizer(args), args, outcome)
    except Exception as error:
        outcome.record_exception(error)
    connection.send(vars(outcome))
    context.shutdown()


def prewarm(process: Any) -> None:
    """Do nothing, like an agent without a prewarm function."""


async def session(args: Namespace, outcome: Outcome) -> None:
    from livekit.agents.ipc.job_proc_executor import ProcJobExecutor
    from livekit.agents.job import JobAcceptArguments, RunningJobInfo
    from livekit.protocol import agent, models

    mp_context: Any = multiprocessing.get_context(args.start_method)
    if args.start_method == "forkserver":
        # As the worker does: the client is imported before the shim is.
        mp_context.set_forkserver_preload(["livekit.plugins.openai"])
    reader, writer = mp_context.Pipe(duplex=False)
    executor = ProcJobExecutor(
        initialize_process_fnc=prewarm,
        job_entrypoint_fnc=entrypoint,
        session_end_fnc=None,
        simulation_end_fnc=None,
        inference_executor=None,
        initialize_timeout=60,
        close_timeout=60,
        session_end_timeout=60,
        memory_warn_mb=0,
        memory_limit_mb=0,
        ping_interval=2.5,
        ping_timeout=60,
        high_ping_threshold=60,
        http_proxy=None,
        mp_ctx=mp_context,
        loop=asyncio.get_running_loop(),
    )
    executor.user_arguments = (args, writer)
    await executor.start()
    writer.close()
    await executor.initialize()
    room = models.Room(sid="RM_made_up", name="made-up")
    await executor.launch_job(
        RunningJobInfo(
            accept_arguments=JobAcceptArguments(name="agent", identity="agent", metadata=""),
            job=agent.Job(id="AJ_made_up", room=room, type=agent.JobType.JT_ROOM),
            url="ws://127.0.0.1:9",
            token="made-up",
            worker_id="AW_made_up",
            fake_job=False,
        )
    )
    vars(outcome).update(await asyncio.to_thread(reader.recv))
    await executor.join()


def main() -> None:
    driver = parser(__doc__ or "")
    driver.add_argument("--start-method", choices=["forkserver", "spawn"], default="forkserver")
    run(driver, LIBRARY, session)


if __name__ == "__main__":
    main()
