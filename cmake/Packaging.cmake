# What is installed, and the Debian package of it. The man page is written by the program itself from its command table.
include(GNUInstallDirs)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(man_page ${CMAKE_BINARY_DIR}/tidemark.1)
add_custom_command(
  OUTPUT ${man_page}
  COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/scripts/write_command_reference.py
          $<TARGET_FILE:tidemark> --man > ${man_page}
  DEPENDS tidemark ${PROJECT_SOURCE_DIR}/scripts/write_command_reference.py
  COMMENT "Writing the man page" VERBATIM)
add_custom_target(man ALL DEPENDS ${man_page})

set(packaging ${PROJECT_SOURCE_DIR}/packaging)
install(TARGETS tidemark RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${man_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${packaging}/completion/tidemark.bash
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME tidemark)
install(FILES ${packaging}/completion/_tidemark DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${packaging}/tidemark.toml DESTINATION ${CMAKE_INSTALL_SYSCONFDIR}/tidemark)
file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/*.md)
install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The unit names the program where it is installed.
install(CODE "
  file(READ \"${packaging}/tidemark.service\" unit)
  string(REPLACE \"/usr/bin/tidemark\" \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/tidemark\" unit \"\${unit}\")
  file(WRITE \"${CMAKE_BINARY_DIR}/tidemark.service\" \"\${unit}\")")
install(FILES ${CMAKE_BINARY_DIR}/tidemark.service DESTINATION lib/systemd/system)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tidemark)
set(CPACK_PACKAGE_VENDOR "The Tidemark authors")
set(CPACK_PACKAGE_CONTACT "The Tidemark authors <tidemark@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "keeps databases in agreement, by triggers and sessions")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${packaging}/debian/finish.cmake)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION database)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, tzdata")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "postgresql, sqlite3")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Triggers note every change in control tables of each database; a session
compares the control tables of two of them, lets the latest change of every
row win and applies the winners. One way that is a backup that follows in
real time, both ways it is synchronization of several sites. SQLite and
PostgreSQL take part in any mix, applications stay as they are.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${packaging}/debian/conffiles ${packaging}/debian/postinst ${packaging}/debian/prerm ${packaging}/debian/postrm)
include(CPack)
