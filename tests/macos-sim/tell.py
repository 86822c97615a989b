#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tell.py BIN-DIRECTORY LABEL [STORY ...] - tells the stories on the simulator.
tell.py --linux LABEL [STORY ...] - the common ones, inside tests/system/world --build DIR."""
import concurrent.futures
import os
import sys
import traceback

import linux_world
import macos_stories
import stories
from world import World

SIDE_BY_SIDE = 10  # most of a story is waiting
LINUX = sys.argv[1] == "--linux"


def tell(story, bin_dir):
    """None when it went well, a text why it was skipped, or raises."""
    world = linux_world.World(bin_dir) if LINUX else World(bin_dir)
    try:
        skipped = story(world)
        world.end()
        return skipped
    except BaseException as error:
        error.said = world.said() if os.path.exists(world.log_path) else ""
        world.clean_up()
        raise


def main():
    bin_dir, label, only = sys.argv[1], sys.argv[2], sys.argv[3:]
    known = stories.STORIES + ([] if LINUX else macos_stories.STORIES)
    todo = [s for s in known if not only or s.__name__ in only]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(1 if LINUX else SIDE_BY_SIDE) as pool:
        running = [(story, pool.submit(tell, story, bin_dir)) for story in todo]
        for story, future in running:
            title = f"{label}: {story.__doc__}"
            try:
                skipped = future.result()
                print(f"ok - {title}" + (f" # SKIP {skipped}" if skipped else ""), flush=True)
            except BaseException as error:
                failed += 1
                print(f"not ok - {title}", flush=True)
                print("".join(traceback.format_exception_only(error)), end="", file=sys.stderr)
                tb = traceback.extract_tb(error.__traceback__)
                print("".join(f"  {f.filename}:{f.lineno} {f.line}\n" for f in tb[-3:]), end="",
                      file=sys.stderr)
                print("\n".join("    " + line for line in
                                getattr(error, "said", "").splitlines()[-60:]),
                      file=sys.stderr, flush=True)
    return failed > 0


sys.exit(main())
