"""Writes earthquakes.jsonl from the file of the same name in the npm package vega-datasets.

    npm pack vega-datasets@3.2.1 && tar xzf vega-datasets-3.2.1.tgz
    python3 make.py package/data/earthquakes.json > earthquakes.jsonl
"""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as catalogue:
    features = json.load(catalogue)["features"]
for feature in sorted(features, key=lambda feature: (feature["properties"]["time"], feature["id"])):
    properties = feature["properties"]
    longitude, latitude, depth = feature["geometry"]["coordinates"]
    event = {
        "id": feature["id"],
        "time": properties["time"],
        "network": properties["net"],
        "magnitude": properties["mag"],
        "place": properties["place"],
        "longitude": longitude,
        "latitude": latitude,
        "depth": depth,
    }
    print(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
