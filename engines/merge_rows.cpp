#include "engines/merge_rows.h"

namespace tidemark {

void merge_pairs(const TableSpec& spec, RowStream& incoming_rows, RowStream& local_rows,
                 PairSink& sink) {
  const KeyOrder order(spec);
  ChangedRow incoming;
  ChangedRow local;
  bool has_incoming = incoming_rows.next(incoming);
  bool has_local = local_rows.next(local);
  while (has_incoming || has_local) {
    std::weak_ordering side = std::weak_ordering::less;
    if (!has_incoming) {
      side = std::weak_ordering::greater;
    } else if (has_local) {
      side = order.compare(incoming.key, local.key);
    }
    if (side < 0) {
      sink.pair(&incoming, nullptr, !incoming.present);
    } else if (side > 0) {
      sink.pair(nullptr, &local, !local.present);
    } else {
      sink.pair(&incoming, &local,
                incoming.present == local.present && identical(incoming.row, local.row));
    }
    if (side <= 0) has_incoming = incoming_rows.next(incoming);
    if (side >= 0) has_local = local_rows.next(local);
  }
}

}  // namespace tidemark
