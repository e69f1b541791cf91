"""``python -m mosaic_dagster.cli`` is ``mosaic``."""

from mosaic_dagster.cli.app import main

if __name__ == "__main__":
    main()
