import sys
def main() -> None:
    sys.exit('being written')
