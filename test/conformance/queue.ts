/**
 * BPF_MAP_TYPE_QUEUE.
 */
import { BPF_MAP_TYPE_QUEUE } from "tsbpf/uapi";
import { queueStory } from "./_queue_family.js";
import type { Story } from "./story.js";

export const queue: Story = queueStory(BPF_MAP_TYPE_QUEUE, false);
