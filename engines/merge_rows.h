// Walks two streams of one table, both in KeyOrder, side by side: the full compare of an engine
// that reads both sides into this process.
#pragma once

#include "engines/engine.h"

namespace tidemark {

/// Hands every key of either stream to `sink`.
void merge_pairs(const TableSpec& spec, RowStream& incoming, RowStream& local, PairSink& sink);

}  // namespace tidemark
