(globalThis.preloaded ??= []).push("imported");
