# Embeds every *.sql of a folder into a library, as one function that finds a file by its name:
#   std::string_view tidemark::embedded_sql(std::string_view name);   // "tidemark_node" for tidemark_node.sql
# The generated source is written at configure time and again when a file changes.
function(tidemark_embed_sql target folder)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.sql)
  get_filename_component(engine ${folder} NAME)
  set(entries "")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND entries "    {\"${name}\", R\"tidemark(${text})tidemark\"},\n")
  endforeach()
  set(output ${CMAKE_CURRENT_BINARY_DIR}/embedded_sql_${engine}.cpp)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT [[// Made by cmake/EmbedSql.cmake from the files in schemas/@engine@.
#include <map>
#include <string_view>

#include "engines/@engine@/embedded_sql.h"

namespace tidemark::@engine@ {

std::string_view embedded_sql(std::string_view name) {
  static const std::map<std::string_view, std::string_view> kFiles{
@entries@  };
  const auto found = kFiles.find(name);
  return found == kFiles.end() ? std::string_view() : found->second;
}

}  // namespace tidemark::@engine@
]])
  target_sources(${target} PRIVATE ${output})
endfunction()
