// SPDX-License-Identifier: Apache-2.0
// Judges one AsyncAPI document: prints errors and warnings; exit 1 if any.
"use strict";
const fs = require("fs");
const {createRequire} = require("module");
const {Parser} = createRequire(`${process.argv[2]}/`)("@asyncapi/parser");

(async () => {
	const {document, diagnostics} = await new Parser().parse(fs.readFileSync(process.argv[3], "utf8"));
	const bad = diagnostics.filter((d) => d.severity <= 1);
	for (const d of bad)
		console.log(`${process.argv[3]}: ${d.path.join(".")}: ${d.message}`);
	process.exit(document && !bad.length ? 0 : 1);
})();
