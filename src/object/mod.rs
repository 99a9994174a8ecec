//! Objects: content by its digest, in `objects/` of a run or a task.
