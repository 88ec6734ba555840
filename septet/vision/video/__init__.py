"""Videos: files and folders of frames, clips of them, and the task video-classification."""
