"""What ``scripts/bench.py`` measures; standard library only, since it runs on a fresh clone.

figure        a figure beside its peer and its target, and the tables
processes     programs on a core of their own: time, CPU, memory
websocket     frames made in advance, and raw sockets to send them with
shim, node    what the shim costs a Python and a Node.js program
sockets       CPU time of a message with the shim and without it
receiving     appends that the mock receives on one core, beside its peers
sessions      many sessions in real time: lateness, CPU, memory
recording     what recording adds, how fast a recording is replayed and loaded
life          start, stop, a server for each test; workers
report        the results: saved as JSON, drawn, and as Markdown
programs/     what runs in processes of its own
"""
