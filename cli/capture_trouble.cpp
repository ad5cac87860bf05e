#include "cli/capture_trouble.h"

namespace tidemark::cli {

CaptureTrouble capture_trouble(const ActiveTable& table, const std::string& node) {
  const std::string activate = "'tidemark activate " + node + "'";
  switch (table.health) {
    case CaptureHealth::table_missing:
      return {.what = "it is gone, only its control tables are left",
              .remedy =
                  "create the table again, or run " + activate + " to forget what was kept for it"};
    case CaptureHealth::moves_unseen:
      return {.what = table.capture_fault,
              .remedy = "the next session captures them and compares the whole table"};
    case CaptureHealth::missing:
    case CaptureHealth::intact:
      break;
  }
  return {.what = table.capture_fault,
          .remedy =
              "the next session makes the triggers of capture anew and compares the whole table (" +
              activate + " where sessions may not); find out who changed them"};
}

}  // namespace tidemark::cli
