/**
 * BPF_MAP_TYPE_STACK.
 */
import { BPF_MAP_TYPE_STACK } from "tsbpf/uapi";
import { queueStory } from "./_queue_family.js";
import type { Story } from "./story.js";

export const stack: Story = queueStory(BPF_MAP_TYPE_STACK, true);
