"""Small apps to run and to copy from. Each takes its settings from the environment (`ASYNCAUTH_…`).

export ASYNCAUTH_DATABASE_URL=sqlite+aiosqlite:///auth.db ASYNCAUTH_JWT_SECRET=…  # 64 bytes or more
export ASYNCAUTH_JWT_ISSUER=example ASYNCAUTH_JWT_AUDIENCE=example
asyncauth db upgrade
python -m examples.seed
uvicorn examples.fastapi_app:app
"""
