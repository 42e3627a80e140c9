(globalThis.preloaded ??= []).push("required");
