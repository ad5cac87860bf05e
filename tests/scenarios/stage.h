// Plays a scenario on databases of given engines and tells what was so at the end.
#pragma once

#include <string>
#include <vector>

#include "tests/scenarios/scenario.h"

namespace tidemark::scenarios {

/// silenced_postgresql: its role may switch the server's checks of foreign keys off.
enum class Engine : std::uint8_t { memory, sqlite, postgresql, silenced_postgresql };

/// One engine for each node.
using Mix = std::vector<Engine>;

std::string to_string(const Mix& mix);

/// The mixes that a scenario is played on: each engine alone, both ways of taking turns with SQLite
/// and PostgreSQL, a server as the hub of files. `all`: whatever each node may be.
std::vector<Mix> mixes(const Scenario& scenario, bool all);

/// `steps` is one of orders(scenario). Throws when a step fails.
Outcome play(const Scenario& scenario, const std::vector<Step>& steps, const Mix& mix);

}  // namespace tidemark::scenarios
