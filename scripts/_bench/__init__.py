"""What ``scripts/bench.py`` measures; standard library only, since it runs on a fresh clone.

figure        a figure beside its peer and its target, and the tables of them
processes     programs on a core of their own: time, CPU, memory
websocket     masked frames made in advance, and raw sockets to send them with
shim, node    what the shim costs
sockets       messages with the shim and without it
receiving     the mock on one core, beside its peers
sessions      many sessions in real time: lateness, CPU, memory
life          start, stop, a server for each test; workers
plot          the picture
programs/     what runs in processes of its own
"""
