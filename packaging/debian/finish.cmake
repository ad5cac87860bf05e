# Runs inside of cpack when the files of the package lie in their folder: Debian wants some of them in other places than
# `cmake --install` puts them, and compressed.
set(root "${CPACK_TEMPORARY_INSTALL_DIRECTORY}")
file(RENAME "${root}/usr/etc" "${root}/etc")
file(MAKE_DIRECTORY "${root}/lib" "${root}/usr/share/zsh/vendor-completions")
file(RENAME "${root}/usr/lib/systemd" "${root}/lib/systemd")
file(REMOVE_RECURSE "${root}/usr/lib")
file(RENAME "${root}/usr/share/zsh/site-functions/_tidemark" "${root}/usr/share/zsh/vendor-completions/_tidemark")
file(REMOVE_RECURSE "${root}/usr/share/zsh/site-functions")

set(documents "${root}/usr/share/doc/tidemark")
file(COPY "${CMAKE_CURRENT_LIST_DIR}/copyright" "${CMAKE_CURRENT_LIST_DIR}/changelog" DESTINATION "${documents}")
file(GLOB pages "${documents}/*.md")
# -n: without name and time, as Debian wants it.
execute_process(COMMAND gzip -9n "${documents}/changelog" "${root}/usr/share/man/man1/tidemark.1" ${pages}
                COMMAND_ERROR_IS_FATAL ANY)
