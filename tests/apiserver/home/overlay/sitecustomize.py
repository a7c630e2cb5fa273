"""Every Python process of the tests' Airflow runs this first."""

import ctypes
import importlib.util
import signal
import sys

if sys.platform == "linux":  # should the parent be killed, which tells its children nothing, the kernel ends us
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)

if importlib.util.find_spec("pymysql"):
    import pymysql
    import pymysql.converters

    # Airflow looks for mysqlclient before it talks to MySQL or MariaDB; PyMySQL takes its place.
    pymysql.install_as_MySQLdb()
    pymysql.converters.DateTime2literal = pymysql.converters.escape_datetime
    sys.modules["MySQLdb.converters"] = pymysql.converters
